-- Where does a decode step of Llama 7B go on an A40, and how many tokens a second can it reach?
select
    op_group,
    round(sum(lower_bound_s * repeat) * 1e3, 2) as milliseconds,
    string_agg(distinct bound, ', ') as bound,
    round(100 * sum(lower_bound_s * repeat) / sum(sum(lower_bound_s * repeat)) over (), 1)
        as percent,
    round(any_value(batch_size) / sum(sum(lower_bound_s * repeat)) over ())
        as tokens_per_s_of_step,
from mart.roofline_point
where
    hardware_id = 'a40'
    and model_id = 'llama-7b'
    and convention = 'paper'
    and precision_id = 'fp16'
    and phase = 'decode'
    and batch_size = 8
    and sequence_length = 1024
group by op_group
order by milliseconds desc
