-- What does tensor parallelism over H100s gain for Llama 3 70B in decode, and what share of a step is communication?
select
    tensor_parallel as devices,
    batch_size,
    round(lower_bound_s * 1e3, 2) as milliseconds,
    round(100 * interconnect_s / lower_bound_s, 1) as percent_interconnect,
    round(tokens_per_s / tensor_parallel) as tokens_per_s_and_device,
    fits_in_memory,
from mart.step_time
where
    hardware_id = 'h100-sxm'
    and model_id = 'llama-3-70b'
    and convention = 'engine'
    and precision_id = 'fp8'
    and phase = 'decode'
    and sequence_length = 8192
    and expert_parallel = 1
    and pipeline_parallel = 1
    and data_parallel = 1
order by batch_size, devices
