-- one row per measured GEMM of a model on a device, those of attention too
select
    'measured' as layer,
    hardware_id,
    model_id,
    dtype,
    level,
    pipe,
    accumulator,
    series,
    op as ops,
    op_group,
    phase,
    batch_size,
    sequence_length,
    query_length,
    tensor_parallel,
    flops,
    bytes,
    intensity_flops_per_byte,
    achieved_flops_per_s as performance_flops_per_s,
    attainable_flops_per_s,
    latency_s,
    lower_bound_s,
    roof_fraction,
    bound,
    source,
from mart.measured_point
where
    hardware_id = $hardware_id
    and model_id = $model_id
    and dtype = (select compute_dtype from core.precision where precision_id = $precision_id)
    and level = 'dram'
    and kind in ('linear', 'qk', 'pv')
    and ($batch_size is null or batch_size = $batch_size)
    and ($sequence_length is null or sequence_length = $sequence_length)
    and tensor_parallel = $tensor_parallel
