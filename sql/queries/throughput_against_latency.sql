-- How do tokens per second of an H100 grow with the time per token, when more requests of Llama 3 8B decode at once?
select
    batch_size,
    round(predicted_s * 1e3, 2) as milliseconds_per_token,
    round(1 / predicted_s, 1) as tokens_per_s_of_a_request,
    round(batch_size / predicted_s) as tokens_per_s,
    dominant_op_group,
from mart.predicted_step
where
    hardware_id = 'h100-sxm'
    and model_id = 'llama-3-8b'
    and convention = 'engine'
    and precision_id = 'bf16'
    and phase = 'decode'
    and sequence_length = 1024
    and tensor_parallel = 1
    and expert_parallel = 1
    and pipeline_parallel = 1
    and data_parallel = 1
    and launch = 'graph'
    and fusion = 'engine'
order by batch_size
