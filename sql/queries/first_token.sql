-- How long will the first token of Llama 3 8B take on an H100, by the length of the prompt?
select
    batch_size,
    sequence_length as prompt,
    round(lower_bound_s * 1e3, 1) as milliseconds_at_least,
    round(predicted_s * 1e3, 1) as milliseconds_expected,
    round(100 * host_wait_s / predicted_s) as percent_waiting_for_the_host,
    dominant_op_group,
    round(100 * covered_share) as percent_covered,
from mart.predicted_step
where
    hardware_id = 'h100-sxm'
    and model_id = 'llama-3-8b'
    and convention = 'engine'
    and precision_id = 'bf16'
    and phase = 'prefill'
    and query_length = sequence_length
    and tensor_parallel = 1
    and expert_parallel = 1
    and pipeline_parallel = 1
    and data_parallel = 1
    and is_default_launch
    and fusion = 'engine'
order by batch_size, prompt
