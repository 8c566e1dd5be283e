-- one row per sweep, hardware, op shape and precision, on the default roof
create or replace view mart.sweep_point as
with
cost as (
    select * from mart.sweep_cost
),

roof as (
    select * from mart.roof_by_level where is_default
)

select
    cost.sweep_id,
    roof.hardware_id,
    cost.model_id,
    cost.convention,
    cost.precision_id,
    cost.phase,
    cost.batch_size,
    cost.sequence_length,
    cost.query_length,
    cost.tensor_parallel,
    cost.op,
    roof.dtype,
    roof.level,
    cost.op_group,
    concat_ws(' ', cost.op_group, phase.series_suffix) as series,
    cost.repeat,
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
from cost
left join core.phase as phase using (phase)
inner join core.precision as precision using (precision_id)
-- files of earlier versions have no dtype of their own
inner join roof
    on coalesce(cost.compute_dtype, precision.compute_dtype) = roof.dtype and cost.level = roof.level
semi join mart.runnable_precision as runnable
    on roof.hardware_id = runnable.hardware_id and cost.precision_id = runnable.precision_id;

comment on view mart.sweep_point is 'one row per sweep, hardware, op shape and precision: where the op lies on the default roof of the dtype that its arithmetic runs in';
comment on column mart.sweep_point.series is 'label of the op''s group and phase on charts';
comment on column mart.sweep_point.attainable_flops_per_s is 'performance at the roof: min(peak, intensity * bandwidth)';
comment on column mart.sweep_point.lower_bound_s is 'lower bound of the time of one execution: max(flops / peak, bytes / bandwidth)';
comment on column mart.sweep_point.bound is 'compute at or right of the ridge, memory left of it, or the level if its bytes come from elsewhere than DRAM, e.g. interconnect';
