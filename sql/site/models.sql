-- one row per model
select
    model.model_id,
    model.short_name,
    model.architecture,
    format('{:.4g} billion', model.parameters / 1e9) as parameters,
    if(model.tower_parameters > 0, format('{:.3g} billion', model.tower_parameters / 1e9), null)
        as encoder_parameters,
    if(model.mtp_parameters > 0, format('{:.3g} billion', model.mtp_parameters / 1e9), null)
        as mtp_parameters,
    model.max_positions as longest_context,
    model.num_layers as layers,
    model.hidden_size,
    model.num_heads as heads,
    model.num_kv_heads as kv_heads,
    model.head_dim,
    model.intermediate_size,
    model.num_experts as experts,
    model.experts_per_token,
    model.vocab_size,
    model.published_precision as published_in,
    source.origin,
from core.model as model
inner join core.source as source using (source_id)
order by model.short_name, model.model_id
