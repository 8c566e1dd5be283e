-- How much KV cache does a token take in each model, and how long a context fits in one A100 80GB?
select
    model.model_id,
    round(
        2 * (
            shard.kv_elements_per_token
            + shard.local_kv_elements_per_token
            + shard.compressed_elements_per_token
        ) / 1e3,
        1
    ) as kilobytes_a_token,
    -- null: the cache does not grow without end, since every layer has a window or a state
    floor(
        (
            hardware.memory_bytes
            - 2 * shard.weights
            - 2 * shard.local_kv_elements_per_token * coalesce(model.sliding_window, 0)
        ) / nullif(2 * (shard.kv_elements_per_token + shard.compressed_elements_per_token), 0) / 1e3
    )::bigint as thousand_tokens,
from core.model as model
inner join core.model_shard as shard using (model_id)
inner join core.hardware as hardware on hardware.hardware_id = 'a100-80gb-sxm'
where
    shard.tensor_parallel = 1
    and shard.expert_parallel = 1
    and shard.pipeline_parallel = 1
    and shard.data_parallel = 1
    and 2 * shard.weights < hardware.memory_bytes
order by kilobytes_a_token, model.model_id
