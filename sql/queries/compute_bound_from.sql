-- From how many tokens on is each op of Llama 7B compute-bound, device by device?
select
    hardware_id,
    round(any_value(ridge_flops_per_byte), 1) as ridge_flops_per_byte,
    max(critical_tokens) filter (op_group = 'qkv mlp') as qkv,
    max(critical_tokens) filter (op_group = 'up/gate/down') as up_gate_down,
    max(critical_tokens) filter (op_group = 'lm_head') as lm_head,
    max(critical_tokens) filter (op_group = 'qk/pv') as attention,
from mart.crossover
where
    model_id = 'llama-7b'
    and convention = 'paper'
    and precision_id = 'fp16'
    and hardware_id in ('a40', 'a6000', 'a100-80gb-pcie', 'h100-sxm', 'h200-sxm', 'mi300x')
group by hardware_id
order by ridge_flops_per_byte
