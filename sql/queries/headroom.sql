-- Which measured kernels of Llama 7B lose the most time compared with the roof of an H100?
select
    op,
    phase,
    m,
    k,
    n,
    batch_size,
    sequence_length,
    round(latency_s * 1e6, 1) as microseconds,
    round(lower_bound_s * 1e6, 1) as microseconds_at_the_roof,
    round(roof_fraction, 2) as roof_fraction,
    bound,
from mart.measured_point
where hardware_id = 'h100-sxm' and model_id = 'llama-7b' and tensor_parallel = 1
order by latency_s - lower_bound_s desc, measurement_id
limit 10
