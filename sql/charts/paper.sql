-- one row per mark of a roofline in the paper's style: ends of ceilings, ridges, points
with
device as (
    select * from core.hardware where hardware_id = $hardware_id
),

-- the main roof has the first of $bases that the device has; if it has none of them, only its default roof is drawn
turn as (
    select vertex.*, list_position($bases, vertex.basis) as turn,
    from mart.roof_vertex as vertex
    inner join core.precision as precision on vertex.dtype = precision.compute_dtype
    where
        vertex.hardware_id = $hardware_id
        and precision.precision_id = $precision_id
    qualify turn is not null or (vertex.is_default and max(turn) over () is null)
),

roof as materialized (
    select
        *,
        count(distinct basis) over () as roofs,
        count(distinct bandwidth_bytes_per_s) over () as bandwidths,
        coalesce(turn = min(turn) over (), true) as is_main,
    from turn
),

vertex as materialized (
    select
        *,
        format('{:g}GB/s', bandwidth_bytes_per_s / 1e9)
        || if(bandwidths > 1, format(' ({})', replace(bandwidth_basis, '_', ' ')), '')
            as bandwidth_label,
        format('{:g} TFLOP/s', peak_flops_per_s / 1e12)
        || if(roofs > 1, format(' ({})', replace(basis, '_', ' ')), '')
            as peak_label,
    from roof
),

-- roofs with the same bandwidth share a slope, up to the highest roof
bandwidth as (
    select
        'bandwidth' as layer,
        bandwidth_label as label,
        max(is_main) over (partition by bandwidth_label) as is_main,
        intensity_flops_per_byte,
        performance_flops_per_s,
    from vertex
    where vertex <= 2
    qualify row_number() over (
        partition by bandwidth_label, vertex
        order by ridge_flops_per_byte desc
    ) = 1
),

peak as (
    select
        'peak' as layer,
        peak_label as label,
        basis,
        is_main,
        is_default,
        peak_origin as origin,
        intensity_flops_per_byte,
        performance_flops_per_s,
    from vertex
    where vertex >= 2
),

ridge as (
    select
        'ridge' as layer,
        format('ridge {:.1f}', ridge_flops_per_byte) as label,
        basis,
        is_main,
        is_default,
        intensity_flops_per_byte,
        peak_flops_per_s as performance_flops_per_s,
    from vertex
    where vertex = 2
),

reference as (
    select
        'reference' as layer,
        $reference_label as label,
        $reference_flops_per_s::double as performance_flops_per_s,
    where $reference_flops_per_s is not null
),

computed as (
{computed}
),

predicted as (
{predicted}
),

measured as (
{measured}
),

kernel as (
    select 3 as distance, * from computed
    union all by name
    select 2 as distance, * from predicted
    union all by name
    select 1 as distance, * from measured
),

-- ops of a series with the same FLOP and bytes are one point: measured, else predicted, else computed
nearest as (
    select
        * exclude (distance, hardware_id, model_id, dtype, level, pipe, accumulator, name),
        series as label,
        distance = min(distance) over (partition by series, flops, bytes) as is_nearest,
    from kernel
    where
        op_group in $op_groups
        and phase in ('prefill', 'decode')
),

point as (
    select
        *,
        if($marks in ('computed', 'predicted', 'measured'), layer = $marks, is_nearest) as is_shown,
    from nearest
),

mark as (
    select * from bandwidth
    union all by name
    select * from peak
    union all by name
    select * from ridge
    union all by name
    select * from reference
    union all by name
    select * from point
)

select
    mark.*,
    if($tensor_parallel > 1, format('{} × ', $tensor_parallel), '') || device.short_name as hardware,
    model.short_name as model,
    $precision_id as precision_id,
from mark
cross join device
cross join (select * from core.model where model_id = $model_id) as model
order by all
