-- How many candidates can an A100 verify at once before a step of Llama 33B takes 1.5 times as long as plain decode?
with
step as (
    select query_length as candidates, batch_size, lower_bound_s,
    from mart.step_time
    where
        hardware_id = 'a100-80gb-pcie'
        and model_id = 'llama-33b'
        and convention = 'paper'
        and precision_id = 'fp16'
        and phase in ('decode', 'speculative')
        and sequence_length = 1024
)

select
    batch_size,
    round(max(lower_bound_s) filter (candidates = 1) * 1e3, 2) as decode_ms,
    max(candidates) filter (lower_bound_s <= 1.5 * plain_s) as candidates,
from (select *, min(lower_bound_s) over (partition by batch_size) as plain_s, from step)
group by batch_size
order by batch_size
