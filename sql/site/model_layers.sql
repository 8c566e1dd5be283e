-- one row per kind of layer of a model
select
    model_id,
    num_layers as layers,
    replace(mixer, '_', ' ') || if(is_draft, ' (multi-token prediction)', '') as mixer,
    concat_ws(
        ', ',
        num_heads || ' heads',
        if(kv_lora_rank is null, num_kv_heads || ' of keys and values', 'latent of ' || kv_lora_rank),
        if(shares_kv, 'cache of another layer', null),
        'the best ' || format('{:,}', index_top_k) || ' tokens'
    ) as attention,
    coalesce(sliding_window, attention_chunk) as "window, tokens",
    replace(recurrence, '-', ' ') as recurrence,
    if(state_key_dim > 0, concat_ws(' × ', state_heads, state_key_dim, state_value_dim), null) as "state",
    replace(feed_forward, '_', ' ') as feed_forward,
    concat_ws(
        ' + ',
        format('{:,}', intermediate_size),
        experts_per_token || ' of ' || num_experts || ' experts × ' || format('{:,}', expert_intermediate_size),
        'shared ' || format('{:,}', shared_intermediate_size)
    ) as "width",
from core.layer_group
order by model_id, layer_group
