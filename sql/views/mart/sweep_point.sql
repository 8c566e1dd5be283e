-- one row per sweep, hardware, op shape and precision, on the default roof
create or replace view mart.sweep_point as
with
cost as (
    select * from mart.sweep_cost
),

roof as (
    select * from mart.roof_by_level where is_default
),

placed as (
    select
        cost.* exclude (activation_bytes, bytes, intensity_flops_per_byte),
        roof.* exclude (level),
        mart.reduction(
            if(contains(cost.op, 'all_reduce'), 'all_reduce', ''), roof.reduces_in_switch
        ) as algorithm,
        -- costs count the ring of an all-reduce
        if(algorithm = 'switch', mart.switch_bytes(cost.bytes, cost.tensor_parallel), cost.bytes)
            as sent_bytes,
        if(algorithm = 'switch', sent_bytes, cost.activation_bytes) as moved_activation_bytes,
        if(algorithm = 'switch', cost.flops / sent_bytes, cost.intensity_flops_per_byte)
            as intensity,
    from cost
    inner join core.precision as precision using (precision_id)
    -- files of earlier versions have no dtype of their own
    inner join roof
        on
            coalesce(cost.compute_dtype, precision.compute_dtype) = roof.dtype
            and cost.level = roof.level
    semi join core.runnable_precision as runnable
        on roof.hardware_id = runnable.hardware_id and cost.precision_id = runnable.precision_id
)

select
    sweep_id,
    hardware_id,
    model_id,
    convention,
    precision_id,
    phase,
    batch_size,
    sequence_length,
    query_length,
    tensor_parallel,
    op,
    dtype,
    level,
    op_group,
    concat_ws(' ', op_group, phase.series_suffix) as series,
    repeat,
    flops,
    weight_bytes,
    moved_activation_bytes as activation_bytes,
    kv_bytes,
    sent_bytes as bytes,
    intensity as intensity_flops_per_byte,
    mart.roof_flops_per_s(
        peak_flops_per_s, bandwidth_bytes_per_s, intensity
    ) as attainable_flops_per_s,
    mart.roof_time_s(peak_flops_per_s, bandwidth_bytes_per_s, flops, sent_bytes)
        as lower_bound_s,
    mart.roof_bound(intensity, ridge_flops_per_byte, level) as bound,
    ridge_flops_per_byte,
    peak_flops_per_s,
    bandwidth_bytes_per_s,
    algorithm,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
    idle_repeat,
from placed
left join core.phase as phase using (phase);

comment on view mart.sweep_point is 'one row per sweep, hardware, op shape and precision: where the op lies on the default roof of the dtype that its arithmetic runs in';
comment on column mart.sweep_point.algorithm is 'of an all-reduce: switch if the switch of the interconnect adds, so that each byte is sent once, else ring; null for what is none';
comment on column mart.sweep_point.series is 'label of the op''s group and phase on charts';
comment on column mart.sweep_point.attainable_flops_per_s is 'performance at the roof: min(peak, intensity * bandwidth)';
comment on column mart.sweep_point.lower_bound_s is 'lower bound of the time of one execution: max(flops / peak, bytes / bandwidth)';
comment on column mart.sweep_point.bound is 'compute at or right of the ridge, memory left of it, or the level if its bytes come from elsewhere than DRAM, e.g. interconnect';
