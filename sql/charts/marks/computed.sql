-- one row per point of a model on a device's roof, computed from shapes
select
    'computed' as layer,
    series,
    ops,
    op_group,
    phase,
    batch_size,
    sequence_length,
    query_length,
    flops,
    bytes,
    intensity_flops_per_byte,
    attainable_flops_per_s as performance_flops_per_s,
    lower_bound_s,
    bound,
from mart.roofline_mark
where
    hardware_id = $hardware_id
    and model_id = $model_id
    and precision_id = $precision_id
    and convention = $convention
    and ($batch_size is null or batch_size = $batch_size)
    and ($sequence_length is null or sequence_length = $sequence_length)
    and tensor_parallel = $tensor_parallel
