-- What does w4a16 gain over fp16 when an RTX 4090 runs Llama 3 8B, and where does it gain nothing?
select
    phase,
    batch_size,
    sequence_length,
    round(max(lower_bound_s) filter (precision_id = 'fp16') * 1e3, 2) as fp16_ms,
    round(max(lower_bound_s) filter (precision_id = 'w4a16') * 1e3, 2) as w4a16_ms,
    round(fp16_ms / w4a16_ms, 2) as times_faster,
    bool_or(fits_in_memory) filter (precision_id = 'fp16') as fp16_fits,
    bool_or(fits_in_memory) filter (precision_id = 'w4a16') as w4a16_fits,
from mart.step_time
where
    hardware_id = 'rtx-4090'
    and model_id = 'llama-3-8b'
    and convention = 'engine'
    and precision_id in ('fp16', 'w4a16')
    and tensor_parallel = 1
    and expert_parallel = 1
    and pipeline_parallel = 1
    and data_parallel = 1
group by phase, batch_size, sequence_length
order by phase, batch_size, sequence_length
