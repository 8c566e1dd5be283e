-- one row per measurement that a calibration predicts
create or replace view mart.prediction_error as
with
measured as (
    select
        point.* replace (
            roof.peak_flops_per_s as peak_flops_per_s,
            if(point.level = 'dram', roof.bandwidth_bytes_per_s, point.bandwidth_bytes_per_s)
                as bandwidth_bytes_per_s
        ),
    from mart.measured_point as point
    inner join mart.roof as roof using (hardware_id, dtype, basis)
    where point.level in ('dram', 'interconnect')
)

select
    measurement_id,
    hardware_id,
    model_id,
    op,
    op_group,
    phase,
    series,
    kind,
    dtype,
    m,
    k,
    n,
    batch_size,
    sequence_length,
    query_length,
    tensor_parallel,
    flops,
    bytes,
    intensity_flops_per_byte,
    latency_s,
    predicted_s,
    predicted_s / latency_s - 1 as relative_error,
    lower_bound_s,
    transferred_from,
    launch,
    if(
        overhead_s >= 0.5 * predicted_s,
        'overhead',
        if(intensity_flops_per_byte >= ridge_flops_per_byte, 'compute', 'memory')
    ) as predicted_bound,
    holdout_mape,
    calibration_origin,
from mart.kernel_times('measured')
where predicted_s is not null;

comment on view mart.prediction_error is 'one row per measurement that a calibration predicts: how far the prediction is off';
comment on column mart.prediction_error.predicted_s is 'expected time of one execution, by the calibrated roof';
comment on column mart.prediction_error.relative_error is 'predicted time / measured time - 1';
comment on column mart.prediction_error.predicted_bound is 'overhead if the launch takes at least half of the expected time; else compute at or right of the ridge, memory left of it';
comment on column mart.prediction_error.calibration_origin is 'measurements that the calibration was fitted to';
comment on column mart.prediction_error.transferred_from is 'the device that was measured, if it is another one';
comment on column mart.prediction_error.holdout_mape is 'mean absolute error on measurements that were held out, as a share of the time; null if there are too few';
