-- one row per kernel that a calibration can predict: of an op shape at a precision, or of a measurement
create or replace view mart.prediction as
select
    null::varchar as measurement_id,
    hardware_id,
    model_id,
    convention,
    shape_id,
    precision_id,
    predicted_s,
    predicted_flops_per_s,
    roof_fraction,
    bound,
    holdout_mape,
    transferred_from,
    calibration_origin,
    launch,
from mart.predicted_point
union all
select
    measurement_id,
    hardware_id,
    model_id,
    null as convention,
    null as shape_id,
    null as precision_id,
    predicted_s,
    flops / predicted_s as predicted_flops_per_s,
    lower_bound_s / predicted_s as roof_fraction,
    predicted_bound as bound,
    holdout_mape,
    transferred_from,
    calibration_origin,
    launch,
from mart.prediction_error;

comment on view mart.prediction is 'one row per kernel that a calibration can predict: of an op shape at a precision (mart.predicted_point), or of a measurement (mart.prediction_error)';
comment on column mart.prediction.predicted_s is 'expected time of one execution, by the calibrated roof';
comment on column mart.prediction.predicted_flops_per_s is 'flops / expected time';
comment on column mart.prediction.roof_fraction is 'share of the roof that is reached: lower bound / latency';
comment on column mart.prediction.bound is 'overhead if the launch takes at least half of the time, by the calibration of the device; else compute at or right of the ridge, memory left of it';
comment on column mart.prediction.calibration_origin is 'measurements that the calibration was fitted to';
