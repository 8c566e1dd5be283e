-- How far are expected steps off on an H100, by phase, number of devices and precision?
select
    phase,
    tensor_parallel as devices,
    precision_id,
    launch,
    fusion,
    steps,
    models,
    round(100 * mean_absolute_error, 1) as mean_percent,
    round(100 * median_absolute_error, 1) as median_percent,
    round(100 * greatest_absolute_error, 1) as greatest_percent,
from mart.step_error
where hardware_id = 'h100-sxm'
order by all
