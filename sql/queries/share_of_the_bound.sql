-- What share of the roofline's bound do serving engines reach, by device, engine and tensor parallelism?
select
    hardware_id,
    engine,
    tensor_parallel,
    count(*) as runs,
    round(100 * median(share_of_bound), 1) as median_percent,
    round(100 * quantile_cont(share_of_bound, 0.9), 1) as p90_percent,
    count(*) filter (share_of_bound > 1) as above,
    round(100 * median(abs(relative_error)), 1) as expected_error_percent,
from mart.measured_serving
where share_of_bound is not null
group by all
order by hardware_id, engine, tensor_parallel
