-- one row per hardware, op shape, precision and launch
create or replace view mart.op_prediction as
with
launched as (
    select point.*, launch.launch,
    from mart.roofline_point as point
    cross join (values ('eager'), ('graph')) as launch (launch)
    where point.level in ('dram', 'interconnect')
)

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
    flops / predicted_s as predicted_flops_per_s,
    lower_bound_s / predicted_s as roof_fraction,
    if(overhead_s >= 0.5 * predicted_s, 'overhead', bound) as bound,
    holdout_mape,
    transferred_from,
    calibration_origin,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
    launch,
    level,
    idle_repeat,
    activation_bytes,
    kv_bytes,
    bandwidth_bytes_per_s,
    is_measured,
    m * k as input_elements,
from mart.kernel_times('launched');

comment on view mart.op_prediction is 'one row per hardware, op shape, precision and launch: the expected time of a kernel; null if no calibration covers it';
comment on column mart.op_prediction.launch is 'how kernels are started: eager, by the program each time, or graph, replayed from a recorded graph';
comment on column mart.op_prediction.series is 'label of the op''s group and phase on charts';
comment on column mart.op_prediction.attainable_flops_per_s is 'performance at the roof: min(peak, intensity * bandwidth)';
comment on column mart.op_prediction.lower_bound_s is 'lower bound of the time of one execution: max(flops / peak, bytes / bandwidth)';
comment on column mart.op_prediction.predicted_s is 'expected time of one execution, by the calibrated roof';
comment on column mart.op_prediction.predicted_flops_per_s is 'flops / expected time';
comment on column mart.op_prediction.roof_fraction is 'share of the roof that is reached: lower bound / latency';
comment on column mart.op_prediction.bound is 'overhead if the launch takes at least half of the time, by the calibration of the device; else compute at or right of the ridge, memory left of it';
comment on column mart.op_prediction.calibration_origin is 'measurements that the calibration was fitted to';
comment on column mart.op_prediction.input_elements is 'elements of the inputs of a GEMM; null for what is none';
comment on column mart.op_prediction.holdout_mape is 'mean absolute error on measurements that were held out, as a share of the time; null if there are too few';
comment on column mart.op_prediction.transferred_from is 'the device that was measured, if it is another one';
