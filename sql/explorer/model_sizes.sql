-- one row per model: what it has once
select
    model_id,
    hidden_size,
    vocab_size,
    norm_kind,
    norm_weights,
    final_norm,
    embedding_size,
    embedding_norm,
    learned_positions,
    lm_head_bias,
    per_layer_embedding_size,
    per_layer_vocab_size,
    tied_embeddings,
    tower_parameters,
    other_parameters as model_other_parameters,
    sliding_window as longest_window,
    max_positions,
from core.model
order by model_id
