-- How far are predictions off on an H100, by kind of op and dtype?
select
    kind,
    dtype,
    count(*) as kernels,
    round(100 * median(abs(relative_error)), 1) as median_percent,
    round(100 * avg(abs(relative_error)), 1) as mean_percent,
    round(100 * max(abs(relative_error)), 1) as greatest_percent,
from mart.prediction_error
where hardware_id = 'h100-sxm'
group by kind, dtype
order by mean_percent, kind, dtype
