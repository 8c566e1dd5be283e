-- one row per hardware, op shape and precision with a calibration
create or replace view mart.predicted_point as
with
point as (
    select * from mart.roofline_point where level = 'dram'
),

prediction as (
    select * from mart.prediction where measurement_id is null
)

select
    point.hardware_id,
    point.model_id,
    point.convention,
    point.precision_id,
    point.phase,
    point.batch_size,
    point.sequence_length,
    point.query_length,
    point.tensor_parallel,
    point.op,
    point.op_group,
    point.series,
    point.kind,
    point.dtype,
    point.shape_id,
    point.repeat,
    point.flops,
    point.bytes,
    point.intensity_flops_per_byte,
    point.attainable_flops_per_s,
    point.lower_bound_s,
    prediction.predicted_s,
    prediction.predicted_flops_per_s,
    prediction.roof_fraction,
    prediction.bound,
    prediction.holdout_mape,
    prediction.transferred_from,
    prediction.calibration_origin,
    point.expert_parallel,
    point.pipeline_parallel,
    point.data_parallel,
from point
-- model and convention come from the shape, so that a question about one of each predicts no others
inner join prediction using (hardware_id, model_id, convention, shape_id, precision_id);

comment on view mart.predicted_point is 'one row per hardware, op shape and precision with a calibration: the expected time of a kernel';
