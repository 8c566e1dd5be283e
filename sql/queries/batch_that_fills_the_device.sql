-- At which batch size do GEMMs (matrix products) of decode become compute-bound on an H200, and does it fit in memory?
with
critical as (
    select model_id, max(critical_tokens) as batch,
    from mart.crossover
    where
        hardware_id = 'h200-sxm'
        and convention = 'engine'
        and precision_id = 'fp8'
        and tensor_parallel = 1
        and expert_parallel = 1
        and pipeline_parallel = 1
        and data_parallel = 1
        and op_group in ('qkv mlp', 'out', 'up/gate/down')
    group by model_id
)

select
    critical.model_id,
    critical.batch,
    round((
        shard.weights * precision.weight_bits / 8
        + critical.batch * precision.kv_bits / 8 * (
            shard.kv_elements_per_token * 8192
            + shard.local_kv_elements_per_token * least(8192, coalesce(model.sliding_window, 0))
        )
    ) / 1e9) as gigabytes_at_8k_context,
    gigabytes_at_8k_context <= round(hardware.memory_bytes / 1e9) as fits,
from critical
inner join core.model as model using (model_id)
inner join core.model_shard as shard using (model_id)
inner join core.precision as precision on precision.precision_id = 'fp8'
inner join core.hardware as hardware on hardware.hardware_id = 'h200-sxm'
where
    shard.tensor_parallel = 1
    and shard.expert_parallel = 1
    and shard.pipeline_parallel = 1
    and shard.data_parallel = 1
    and model_id in ('llama-3-8b', 'llama-3-70b', 'qwen3-30b-a3b', 'gemma-3-27b', 'deepseek-v2-lite')
order by critical.batch, critical.model_id
