-- Where does the time of a decode step of Llama 7B go on an A40, and how many tokens per second can it reach?
select
    op_group,
    round(lower_bound_s * 1e3, 2) as milliseconds,
    case lower_bound_s when memory_s then 'memory' when compute_s then 'compute' else 'several' end as bound,
    round(100 * lower_bound_s / sum(lower_bound_s) over (), 1) as percent,
    round(batch_size / sum(lower_bound_s) over ()) as tokens_per_s_of_step,
from mart.op_group_time
where
    hardware_id = 'a40'
    and model_id = 'llama-7b'
    and convention = 'paper'
    and precision_id = 'fp16'
    and phase = 'decode'
    and batch_size = 8
    and sequence_length = 1024
    and tensor_parallel = 1
    and expert_parallel = 1
    and pipeline_parallel = 1
    and data_parallel = 1
order by milliseconds desc
