-- one row per hardware, op shape and precision with a calibration
create or replace view mart.predicted_point as
select
    hardware_id,
    model_id,
    convention,
    precision_id,
    phase,
    batch_size,
    sequence_length,
    query_length,
    tensor_parallel,
    op,
    op_group,
    series,
    kind,
    dtype,
    shape_id,
    repeat,
    flops,
    bytes,
    intensity_flops_per_byte,
    attainable_flops_per_s,
    lower_bound_s,
    predicted_s,
    predicted_flops_per_s,
    roof_fraction,
    bound,
    holdout_mape,
    transferred_from,
    calibration_origin,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
    launch,
from mart.op_prediction
where
    predicted_s is not null
    -- published charts of single kernels timed them as programs start them
    and launch = if(convention = 'paper', 'eager', mart.default_launch(phase));

comment on view mart.predicted_point is 'one row per hardware, op shape and precision with a calibration: the expected time of a kernel, in decode as replayed from a graph unless the convention is paper';
comment on column mart.predicted_point.launch is 'how kernels are started: eager, by the program each time, or graph, replayed from a recorded graph';
