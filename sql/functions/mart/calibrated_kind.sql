-- kind of op that a calibration is fitted to: products of experts, attention to latents that all heads share, and attention
-- of heads of other sizes than 128 run other kernels
create or replace macro mart.calibrated_kind(kind, op, matrices, kv_heads, head_dim) as
    case
        when kind = 'linear' and matrices <> 1 and starts_with(op, 'expert_') then 'grouped_linear'
        when kind = 'attention' and kv_heads = 1 and head_dim >= 512 then 'latent_attention'
        when kind = 'attention' and head_dim <= 64 then 'attention_64'
        when kind = 'attention' and head_dim > 128 then 'attention_256'
        else kind
    end;
