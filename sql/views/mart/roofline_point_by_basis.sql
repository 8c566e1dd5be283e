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
    select * from mart.kernel_roof where kernel_accumulator = ''
),

runnable as (
    select * from mart.runnable_precision
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
    roof.level,
    shape.op_group,
    concat_ws(' ', shape.op_group, phase.series_suffix) as series,
    shape.kind,
    shape.m,
    shape.k,
    shape.n,
    shape.heads,
    shape.kv_heads,
    shape.head_dim,
    shape.repeat,
    cost.flops,
    cost.weight_bytes,
    cost.activation_bytes,
    cost.kv_bytes,
    cost.bytes,
    cost.intensity_flops_per_byte,
    mart.roof_flops_per_s(
        roof.peak_flops_per_s, roof.bandwidth_bytes_per_s, cost.intensity_flops_per_byte
    ) as attainable_flops_per_s,
    mart.roof_time_s(roof.peak_flops_per_s, roof.bandwidth_bytes_per_s, cost.flops, cost.bytes)
        as lower_bound_s,
    mart.roof_bound(cost.intensity_flops_per_byte, roof.ridge_flops_per_byte, roof.level) as bound,
    roof.ridge_flops_per_byte,
    roof.peak_flops_per_s,
    roof.bandwidth_bytes_per_s,
    shape.matrices,
    roof.pipe,
    cost.state_bytes,
from cost
inner join shape using (shape_id)
left join core.phase as phase using (phase)
inner join roof
    on
        cost.compute_dtype = roof.dtype
        and shape.level = roof.level
        and shape.pipe = roof.kernel_pipe
-- a step is all of its ops, so a device that cannot run one of them has none
semi join runnable
    on roof.hardware_id = runnable.hardware_id and cost.precision_id = runnable.precision_id;

comment on view mart.roofline_point_by_basis is 'one row per hardware, op shape, precision and basis: where the op lies on each roof of the dtype that its arithmetic runs in';
comment on column mart.roofline_point_by_basis.series is 'label of the op''s group and phase on charts';
comment on column mart.roofline_point_by_basis.attainable_flops_per_s is 'performance at the roof: min(peak, intensity * bandwidth)';
comment on column mart.roofline_point_by_basis.lower_bound_s is 'lower bound of the time of one execution: max(flops / peak, bytes / bandwidth)';
comment on column mart.roofline_point_by_basis.bound is 'compute at or right of the ridge, memory left of it, or the level if its bytes come from elsewhere than DRAM, e.g. interconnect';
