-- one row per model: what the list of models shows
select
    model.model_id,
    model.short_name as model,
    regexp_replace(model.architecture, '(ForCausalLM|ForConditionalGeneration|LMHeadModel)$', '') as architecture,
    model.parameters / 1e9 as parameters_billion,
    model.active_parameters / 1e9 as active_parameters_billion,
    -- of elements of two bytes, on one device
    2 * (
        shard.kv_elements_per_token + shard.local_kv_elements_per_token + shard.compressed_elements_per_token
    ) as kv_bytes_per_token,
    held.weight_bytes,
    model.max_positions,
    model.num_layers,
    model.hidden_size,
    nullif(model.num_experts, 0) as num_experts,
    nullif(model.experts_per_token, 0) as experts_per_token,
    model.vocab_size,
    model.published_precision,
from core.model as model
left join (
    select *
    from core.model_shard
    where tensor_parallel = 1 and expert_parallel = 1 and pipeline_parallel = 1 and data_parallel = 1
) as shard using (model_id)
left join (
    select *
    from core.weight_memory
    where tensor_parallel = 1 and expert_parallel = 1 and pipeline_parallel = 1 and data_parallel = 1
) as held
    on model.model_id = held.model_id and coalesce(model.published_precision, 'bf16') = held.precision_id
order by model.short_name, model.model_id
