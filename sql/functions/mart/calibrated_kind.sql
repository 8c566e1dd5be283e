-- kind of op that a calibration is fitted to: products of experts, and attention to latents that all heads share, are others
create or replace macro mart.calibrated_kind(kind, op, matrices, kv_heads, head_dim) as
    case
        when kind = 'linear' and matrices <> 1 and starts_with(op, 'expert_') then 'grouped_linear'
        when kind = 'attention' and kv_heads = 1 and head_dim >= 512 then 'latent_attention'
        else kind
    end;
