-- How many H100s does each large model need in bf16 for 8 sequences of 8192 tokens, and how fast can they decode?
select
    model_id,
    min(tensor_parallel) as devices,
    round(arg_min(memory_bytes, tensor_parallel) / 1e9, 1) as gigabytes_each,
    round(arg_min(tokens_per_s, tensor_parallel)) as tokens_per_s,
from mart.step_time
where
    hardware_id = 'h100-sxm'
    and convention = 'engine'
    and precision_id = 'bf16'
    and phase = 'decode'
    and batch_size = 8
    and sequence_length = 8192
    and expert_parallel = 1
    and pipeline_parallel = 1
    and data_parallel = 1
    and fits_in_memory
group by model_id
having devices > 1
order by devices, model_id
