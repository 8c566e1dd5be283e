-- one row per measurement with its prediction; a fixed sample if there are many
with
error as (
    select * from mart.prediction_error as error where error.hardware_id = $hardware_id and error.flops > 0
),

-- over all kernels, not only the sample
total as (
    select
        count(*) as kernels,
        avg((abs(relative_error) <= 0.1)::int) as within_ten_percent,
        median(abs(relative_error)) as median_absolute_error,
        avg(abs(relative_error)) as mean_absolute_error,
        median(relative_error) as median_error,
        quantile_cont(relative_error, 0.1) as p10_error,
        quantile_cont(relative_error, 0.9) as p90_error,
    from error
),

shown as (
    select measurement_id from error order by hash(measurement_id), measurement_id limit 4000
)

select
    'measured' as layer,
    error.kind as label,
    error.op as ops,
    error.op_group,
    error.phase,
    error.dtype,
    error.m,
    error.k,
    error.n,
    error.batch_size,
    error.sequence_length,
    error.flops,
    error.latency_s,
    error.predicted_s,
    error.relative_error,
    hardware.short_name as hardware,
    total.*,
from error
semi join shown using (measurement_id)
inner join core.hardware as hardware using (hardware_id)
cross join total
order by error.kind, error.dtype, error.flops, error.measurement_id
