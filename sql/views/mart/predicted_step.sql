-- one row per hardware, model, convention, precision, phase, setting, sharing, launch and fusion
create or replace view mart.predicted_step as
with
op as (
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
        expert_parallel,
        pipeline_parallel,
        data_parallel,
        fusion,
        op_group,
        op,
        level,
        predicted_s,
        lower_bound_s,
        start_s,
        gap_s,
        graph_gap_s,
        is_covered,
        transferred_from,
    from mart.step_op
    where convention <> 'custom'
)

select
    step.hardware_id,
    step.model_id,
    step.convention,
    step.precision_id,
    step.phase,
    step.batch_size,
    step.sequence_length,
    step.query_length,
    step.tensor_parallel,
    step.expert_parallel,
    step.pipeline_parallel,
    step.data_parallel,
    step.launch,
    step.fusion,
    step.predicted_s,
    step.tokens_per_s,
    step.lower_bound_s,
    step.op_group_s,
    step.host_wait_s,
    step.dominant_op_group,
    step.dominant_share,
    step.covered_share,
    step.uncovered_ops,
    error.holdout_mape,
    step.transferred_from,
    step.is_default_launch,
from mart.expected_steps('op') as step
left join core.step_calibration as error
    on
        step.hardware_id = error.hardware_id
        and step.phase = error.phase
        and step.tensor_parallel = error.tensor_parallel
        and step.launch = error.launch
        and step.fusion = error.fusion;

comment on view mart.predicted_step is 'one row per hardware, model, convention, precision, phase, setting, sharing, launch and fusion: the time that a step is expected to take, one kernel after the other; what no calibration covers counts at the roof';
comment on column mart.predicted_step.launch is 'how kernels are started: eager, by the program each time, or graph, replayed from a recorded graph';
comment on column mart.predicted_step.fusion is 'engine: add and norm, activation and gate, and RoPE are one kernel each; none: each element-wise op of plain PyTorch is a kernel of its own';
comment on column mart.predicted_step.predicted_s is 'expected time of the step';
comment on column mart.predicted_step.tokens_per_s is 'tokens of mart.step_time per second of the expected time';
comment on column mart.predicted_step.lower_bound_s is 'lower bound of the step''s time: the sum over its ops, and the time that a device waits for other stages';
comment on column mart.predicted_step.op_group_s is 'op group -> its part of the expected time, in seconds';
comment on column mart.predicted_step.host_wait_s is 'part of the expected time that the device waits: between kernels, and if the program starts them, for the host';
comment on column mart.predicted_step.dominant_op_group is 'op group that takes the most time';
comment on column mart.predicted_step.dominant_share is 'its share of the time';
comment on column mart.predicted_step.covered_share is 'share of the least time of the ops that calibrations cover';
comment on column mart.predicted_step.uncovered_ops is 'ops that no calibration covers; they count with the time at the roof; null if there are none';
comment on column mart.predicted_step.holdout_mape is 'mean absolute error on measured steps of the device, phase, number of devices, launch and fusion, as a share of the time, if what is fitted to steps is fitted to those of other models; null if none were measured';
comment on column mart.predicted_step.transferred_from is 'the devices that were measured, if it is another one';
comment on column mart.predicted_step.is_default_launch is 'whether steps of the phase are started so unless somebody says otherwise: graph in decode, else eager';
