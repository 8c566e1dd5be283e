-- one row per op shape and precision of one sweep, as mart.sweep_cost reads it
union all by name
select
    $sweep_id as sweep_id,
    model_id,
    convention,
    precision_id,
    phase,
    batch_size,
    sequence_length,
    query_length,
    tensor_parallel,
    op,
    op_group,
    level,
    repeat,
    flops,
    weight_bytes,
    activation_bytes,
    kv_bytes,
    bytes,
    intensity_flops_per_byte,
from read_parquet($files, hive_partitioning = true, hive_types_autocast = false)
