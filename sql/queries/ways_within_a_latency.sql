-- How many H200s give the first token of Llama 3 70B after a prompt of 8192 within 1 s, and each further one within 40 ms?
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
),

held as (
    select
        tensor_parallel,
        batch_size,
        mart.fits_in_memory(
            memory_bytes + activation_memory_bytes, device_memory_bytes, free_share := 0.1
        ) as fits,
    from mart.step_time
    where
        hardware_id = 'h200-sxm'
        and model_id = 'llama-3-70b'
        and convention = 'engine'
        and precision_id = 'bf16'
        and phase = 'decode'
        and sequence_length = 8192
        and expert_parallel = 1
        and pipeline_parallel = 1
        and data_parallel = 1
)

select
    decode.tensor_parallel as devices,
    max(decode.batch_size) as batch_size,
    round(any_value(prefill.predicted_s), 3) as ttft_s,
    round(arg_max(decode.predicted_s, decode.batch_size), 4) as tpot_s,
    round(arg_max(decode.batch_size / decode.predicted_s, decode.batch_size) / devices, 1)
        as tokens_per_s_and_device,
from step as decode
inner join step as prefill on decode.tensor_parallel = prefill.tensor_parallel
inner join held
    on decode.tensor_parallel = held.tensor_parallel and decode.batch_size = held.batch_size
where
    decode.phase = 'decode'
    and prefill.phase = 'prefill'
    and prefill.batch_size = 1
    and held.fits
    and prefill.predicted_s <= 1
    and decode.predicted_s <= 0.04
group by devices
order by tokens_per_s_and_device desc
