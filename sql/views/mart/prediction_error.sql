-- one row per measurement that a calibration predicts
create or replace view mart.prediction_error as
with
point as (
    select * from mart.measured_point
),

prediction as (
    select * from mart.prediction where measurement_id is not null
)

select
    point.measurement_id,
    point.hardware_id,
    point.model_id,
    point.op,
    point.op_group,
    point.phase,
    point.series,
    point.kind,
    point.dtype,
    point.m,
    point.k,
    point.n,
    point.batch_size,
    point.sequence_length,
    point.query_length,
    point.tensor_parallel,
    point.flops,
    point.bytes,
    point.intensity_flops_per_byte,
    point.latency_s,
    prediction.predicted_s,
    prediction.predicted_s / point.latency_s - 1 as relative_error,
    point.lower_bound_s,
    prediction.transferred_from,
from point
inner join prediction using (hardware_id, measurement_id);

comment on view mart.prediction_error is 'one row per measurement that a calibration predicts: how far the prediction is off';
comment on column mart.prediction_error.relative_error is 'predicted time / measured time - 1';
