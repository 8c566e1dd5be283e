-- one row per mark of one device's roofline: vertices of roofs, and points at one setting
with
device as (
    select * from core.hardware where hardware_id = $hardware_id
),

precision as (
    select * from core.precision where precision_id = $precision_id
),

vertex as materialized (
    select
        vertex.*,
        vertex.dtype = precision.compute_dtype and vertex.is_default as is_main,
    from mart.roof_vertex as vertex
    cross join precision
    where vertex.hardware_id = $hardware_id
),

-- the slope of the main roof, and every other slope once, up to its highest roof
bandwidth as (
    select
        'bandwidth' as layer,
        format('{:.5g} GB/s', bandwidth_bytes_per_s / 1e9) as label,
        is_main,
        bandwidth_origin as origin,
        intensity_flops_per_byte,
        performance_flops_per_s,
    from vertex
    where vertex <= 2
    qualify row_number() over (
        partition by bandwidth_bytes_per_s, is_main, vertex
        order by ridge_flops_per_byte desc
    ) = 1
),

-- dtypes with the same peak share a line
peak as (
    select
        'peak' as layer,
        string_agg(dtype, ', ' order by dtype)
        || format(' · {:.5g} TFLOP/s', peak_flops_per_s / 1e12)
        || if(basis = 'datasheet', '', format(' ({})', replace(basis, '_', ' ')))
            as label,
        basis,
        max(is_main) as is_main,
        string_agg(distinct peak_origin, ', ' order by peak_origin) as origin,
        intensity_flops_per_byte,
        performance_flops_per_s,
    from vertex
    where vertex >= 2
    group by vertex, basis, peak_flops_per_s, intensity_flops_per_byte, performance_flops_per_s
),

ridge as (
    select
        'ridge' as layer,
        format('ridge {:.0f} FLOP/byte', ridge_flops_per_byte) as label,
        basis,
        is_main,
        intensity_flops_per_byte,
        peak_flops_per_s as performance_flops_per_s,
    from vertex
    where is_main and vertex = 2
),

kernel as (
{points}
),

point as (
    select
        * replace (coalesce(phase, 'kernel') as phase),
        if($convention = 'custom', ops, op_group) as label,
    from kernel
    where
        phase is distinct from 'speculative'
        and intensity_flops_per_byte > 0
),

mark as (
    select * from bandwidth
    union all by name
    select * from peak
    union all by name
    select * from ridge
    union all by name
    select * from point
)

select
    mark.*,
    device.short_name as hardware,
    model.short_name as model,
    precision.precision_id,
    precision.compute_dtype as dtype,
from mark
cross join device
cross join precision
-- the points of a user's query have no model
left join (select * from mart.op_owner where model_id = $model_id) as model on true
order by all
