-- What does it gain to spread whole experts over 8 H200s that decode DeepSeek V3, instead of sharing each of them?
select
    expert_parallel,
    batch_size,
    round(lower_bound_s * 1e3, 2) as milliseconds,
    round(100 * interconnect_s / lower_bound_s, 1) as percent_interconnect,
    round(tokens_per_s / 8) as tokens_per_s_and_device,
    fits_in_memory,
from mart.step_time
where
    hardware_id = 'h200-sxm'
    and model_id = 'deepseek-v3'
    and convention = 'engine'
    and precision_id = 'fp8'
    and phase = 'decode'
    and sequence_length = 8192
    and tensor_parallel = 8
    and pipeline_parallel = 1
    and data_parallel = 1
order by batch_size, expert_parallel
