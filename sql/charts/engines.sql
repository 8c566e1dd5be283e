-- one row per device, serving engine and number of devices that share each layer: the share of their bounds that runs reach
select
    run.hardware_id,
    hardware.short_name as hardware,
    run.engine,
    run.tensor_parallel,
    -- what is above its bound is not what the run says
    count(*) filter (run.share_of_bound <= 1) as runs,
    count(distinct run.model_id) as models,
    quantile_cont(run.share_of_bound, 0.1) filter (run.share_of_bound <= 1) as low_share,
    median(run.share_of_bound) filter (run.share_of_bound <= 1) as median_share,
    quantile_cont(run.share_of_bound, 0.9) filter (run.share_of_bound <= 1) as high_share,
    count(*) - runs as above,
    median(abs(run.relative_error)) filter (run.share_of_bound <= 1) as median_error,
from mart.measured_serving as run
inner join core.hardware as hardware using (hardware_id)
where run.share_of_bound is not null
group by all
having count(*) filter (run.share_of_bound <= 1) > 0
order by hardware, engine, tensor_parallel
