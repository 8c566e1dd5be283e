-- one row per mark: vertices of the roof, and op groups by number of candidate tokens
with
device as (
    select * from core.hardware where hardware_id = $hardware_id
),

precision as (
    select * from core.precision where precision_id = $precision_id
),

roof as (
    select
        'roof' as layer,
        format(
            '{} · {:,g} TFLOP/s · {:,g} GB/s',
            vertex.dtype,
            vertex.peak_flops_per_s / 1e12,
            vertex.bandwidth_bytes_per_s / 1e9
        ) as label,
        vertex.basis,
        vertex.peak_origin as origin,
        vertex.vertex,
        vertex.intensity_flops_per_byte,
        vertex.performance_flops_per_s,
    from mart.roof_vertex as vertex
    inner join precision on vertex.dtype = precision.compute_dtype
    where vertex.hardware_id = $hardware_id and vertex.is_default
),

ridge as (
    select
        'ridge' as layer,
        format('ridge {:.0f} FLOP/byte', intensity_flops_per_byte) as label,
        basis,
        intensity_flops_per_byte,
        performance_flops_per_s,
    from roof
    where vertex = 2
),

kernel as (
{points}
),

point as (
    select *, op_group as label
    from kernel
    where
        op_group in $op_groups
        and phase in ('decode', 'speculative')
),

mark as (
    select * from roof
    union all by name
    select * from ridge
    union all by name
    select * from point
)

select
    mark.* exclude (dtype, hardware_id, model_id),
    device.short_name as hardware,
    model.short_name as model,
    precision.precision_id,
    precision.compute_dtype as dtype,
from mark
cross join device
cross join precision
cross join (select * from core.model where model_id = $model_id) as model
order by all
