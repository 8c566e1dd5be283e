-- one row per point of a model, predicted by a calibrated roof of a device
select
    'predicted' as layer,
    hardware_id,
    model_id,
    dtype,
    'dram' as level,
    '' as pipe,
    '' as accumulator,
    series,
    string_agg(op, ', ' order by op) as ops,
    op_group,
    phase,
    batch_size,
    sequence_length,
    query_length,
    tensor_parallel,
    max(flops) as flops,
    max(bytes) as bytes,
    intensity_flops_per_byte,
    predicted_flops_per_s as performance_flops_per_s,
    max(predicted_s) as latency_s,
    max(lower_bound_s) as lower_bound_s,
    roof_fraction,
    bound,
    calibration_origin as source,
    transferred_from,
from mart.predicted_point
where
    hardware_id = $hardware_id
    and model_id = $model_id
    and precision_id = $precision_id
    and convention = $convention
    and ($batch_size is null or batch_size = $batch_size)
    and ($sequence_length is null or sequence_length = $sequence_length)
    and tensor_parallel = $tensor_parallel
    and expert_parallel = 1
    and pipeline_parallel = 1
    and data_parallel = 1
group by all
