-- one row per device, kind of op, dtype and launch of measured kernels that are predicted
select
    hardware.short_name as device,
    error.kind,
    error.dtype,
    error.launch,
    count(*) as kernels,
    round(100 * avg(abs(error.relative_error)), 1) as mean_percent,
    round(100 * median(abs(error.relative_error)), 1) as median_percent,
    round(100 * max(abs(error.relative_error)), 1) as greatest_percent,
    round(100 * any_value(error.holdout_mape), 1) as held_out_percent,
    any_value(error.transferred_from) as transferred_from,
from mart.prediction_error as error
inner join core.hardware as hardware using (hardware_id)
group by all
order by device, kernels desc, error.kind, error.dtype, error.launch
