-- one row per hardware, convention and precision
create or replace view mart.drawn_precision as
with
computed as (
    select distinct shape.convention, cost.precision_id,
    from core.op_shape as shape
    inner join core.op_cost as cost using (shape_id)
),

-- of precisions with one dtype, the one that is named after it
fastest as (
    select
        roof.hardware_id,
        computed.convention,
        computed.precision_id,
    from mart.roof as roof
    inner join core.precision as precision on roof.dtype = precision.compute_dtype
    inner join computed using (precision_id)
    where roof.is_default
    qualify row_number() over (
        partition by roof.hardware_id, computed.convention
        order by
            roof.dtype in ('fp16', 'bf16') desc,
            roof.peak_flops_per_s desc,
            precision.precision_id = roof.dtype desc,
            precision.precision_id
    ) = 1
),

convention as (
    select distinct convention from computed
)

select
    hardware.hardware_id,
    convention.convention,
    precision.precision_id,
    if(roof.dtype is null, fastest.precision_id, precision.precision_id) as drawn_precision_id,
from core.hardware as hardware
cross join convention
cross join core.precision as precision
left join mart.roof as roof
    on hardware.hardware_id = roof.hardware_id and precision.compute_dtype = roof.dtype and roof.is_default
left join fastest
    on hardware.hardware_id = fastest.hardware_id and convention.convention = fastest.convention;

comment on view mart.drawn_precision is 'one row per hardware, convention and precision: what a chart draws that has else_fastest: the precision if the device has a peak for it, else the fastest 16-bit one, else the fastest one';
comment on column mart.drawn_precision.drawn_precision_id is 'the precision that is drawn; null if the device has a peak for none that ops were computed in';
