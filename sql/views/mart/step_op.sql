-- one row per hardware, op shape, precision and fusion
create or replace view mart.step_op as
with
point as (
    select * from mart.roofline_point
    where level in ('dram', 'interconnect') and convention <> 'custom'
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
    shape_id,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
    fusion,
    level,
    predicted_s,
    lower_bound_s,
    kernels,
    start_s,
    gap_s,
    is_covered,
    transferred_from,
    is_measured,
from mart.step_ops('point');

comment on view mart.step_op is 'one row per hardware, op shape, precision and fusion: the time that an op is expected to take of a step, with the element-wise kernels that run for it';
comment on column mart.step_op.fusion is 'engine: add and norm, activation and gate, and RoPE are one kernel each; none: each element-wise op of plain PyTorch is a kernel of its own';
comment on column mart.step_op.predicted_s is 'expected time of all its executions in a step; at the roof if no calibration covers it';
comment on column mart.step_op.lower_bound_s is 'lower bound of the step''s time: the sum over its ops, and the time that a device waits for other stages';
comment on column mart.step_op.kernels is 'kernels that run for it in a step';
comment on column mart.step_op.start_s is 'time that the host needs to start them; 0 if it is not known';
comment on column mart.step_op.gap_s is 'time that the device waits between them if each is started by the program, beyond that in a graph; 0 if it is not known';
comment on column mart.step_op.is_covered is 'whether a calibration covers it';
comment on column mart.step_op.transferred_from is 'the device that was measured, if it is another one';
