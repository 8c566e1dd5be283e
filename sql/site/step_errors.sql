-- one row per device, phase, number of devices, precision, launch and fusion of measured steps that are predicted
select
    hardware.short_name as device,
    error.phase,
    error.tensor_parallel as devices,
    error.precision_id as precision,
    error.launch,
    error.fusion,
    error.steps,
    error.models,
    round(100 * error.mean_absolute_error, 1) as mean_percent,
    round(100 * error.median_absolute_error, 1) as median_percent,
    round(100 * error.greatest_absolute_error, 1) as greatest_percent,
    round(100 * error.mean_error, 1) as mean_signed_percent,
from mart.step_error as error
inner join core.hardware as hardware using (hardware_id)
order by all
