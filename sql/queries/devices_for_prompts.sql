-- How much longer does a token of Llama 3 70B take if 4 or 8 H200s run a prompt of 8192 tokens between steps for each 1024 tokens?
with
step as (
    select phase, tensor_parallel, batch_size, predicted_s
    from mart.predicted_step
    where
        hardware_id = 'h200-sxm'
        and model_id = 'llama-3-70b'
        and convention = 'engine'
        and precision_id = 'bf16'
        and phase in ('prefill', 'decode')
        and sequence_length = 8192
        and query_length in (1, 8192)
        and expert_parallel = 1
        and pipeline_parallel = 1
        and data_parallel = 1
        and launch = 'graph'
        and fusion = 'engine'
)

select
    decode.tensor_parallel as devices,
    decode.batch_size,
    round(decode.predicted_s * 1e3, 1) as milliseconds_alone,
    -- each step ends batch / 1024 requests, and as many prompts follow
    round((decode.predicted_s + decode.batch_size / 1024 * prefill.predicted_s) * 1e3, 1)
        as milliseconds_between_prompts,
    -- that keep up with so many requests
    round(decode.batch_size / 1024 * prefill.predicted_s / decode.predicted_s * devices, 2)
        as devices_for_prompts,
from step as decode
inner join step as prefill on decode.tensor_parallel = prefill.tensor_parallel
where
    decode.phase = 'decode'
    and prefill.phase = 'prefill'
    and prefill.batch_size = 1
    and decode.tensor_parallel in (4, 8)
order by devices, decode.batch_size
