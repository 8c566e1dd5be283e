-- one row per hardware, op shape, precision and basis
create or replace view mart.roofline_point_by_basis as
with
cost as (
    select * from core.op_cost
),

shape as (
    select * from core.op_shape
),

roof as (
    select * from mart.roof
)

select
    roof.hardware_id,
    shape.model_id,
    shape.convention,
    cost.precision_id,
    shape.phase,
    shape.batch_size,
    shape.sequence_length,
    shape.query_length,
    shape.tensor_parallel,
    shape.op,
    roof.basis,
    roof.is_default,
    shape.shape_id,
    roof.dtype,
    shape.op_group,
    shape.op_group || ' ' || phase.series_suffix as series,
    shape.kind,
    shape.m,
    shape.k,
    shape.n,
    shape.repeat,
    cost.flops,
    cost.weight_bytes,
    cost.activation_bytes,
    cost.kv_bytes,
    cost.bytes,
    cost.intensity_flops_per_byte,
    least(
        roof.peak_flops_per_s,
        cost.intensity_flops_per_byte * roof.bandwidth_bytes_per_s
    ) as attainable_flops_per_s,
    greatest(
        cost.flops / roof.peak_flops_per_s,
        cost.bytes / roof.bandwidth_bytes_per_s
    ) as lower_bound_s,
    case
        when cost.intensity_flops_per_byte >= roof.ridge_flops_per_byte
            then 'compute'
        else 'memory'
    end as bound,
    roof.ridge_flops_per_byte,
from cost
inner join shape using (shape_id)
inner join core.phase as phase using (phase)
inner join core.precision as precision using (precision_id)
inner join roof on precision.compute_dtype = roof.dtype;

comment on view mart.roofline_point_by_basis is 'one row per hardware, op shape, precision and basis: where the op lies on each roof of the dtype that its arithmetic runs in';
comment on column mart.roofline_point_by_basis.series is 'label of the op''s group and phase on charts';
comment on column mart.roofline_point_by_basis.attainable_flops_per_s is 'performance at the roof: min(peak, intensity * bandwidth)';
comment on column mart.roofline_point_by_basis.lower_bound_s is 'least time of one execution: max(flops / peak, bytes / bandwidth)';
comment on column mart.roofline_point_by_basis.bound is 'compute at or right of the ridge, memory left of it';
