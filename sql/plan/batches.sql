-- one row per way to share a model: the most requests whose tokens fit the largest of the devices
select
    shard.tensor_parallel,
    shard.expert_parallel,
    shard.pipeline_parallel,
    shard.data_parallel,
    coalesce(max(shard.data_parallel * mart.largest_batch(
        hardware.memory_bytes,
        weight.weight_bytes + weight.tower_bytes,
        mart.kv_memory_bytes(shard, model.sliding_window, $length, precision.kv_bits)
        + mart.indexer_memory_bytes(shard, $length, precision.kv_bits)
        + mart.state_memory_bytes(shard, precision.state_bits, precision.activation_bits),
        free_share := $free_share
    )), $most) as largest_batch,
from core.model_shard as shard
inner join core.model as model on model.model_id = $model_id
inner join core.weight_memory as weight
    using (tensor_parallel, expert_parallel, pipeline_parallel, data_parallel)
inner join core.precision as precision using (precision_id)
inner join core.runnable_precision as runnable using (precision_id)
inner join core.hardware as hardware using (hardware_id)
group by all
order by all
