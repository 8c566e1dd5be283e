-- one row per hardware, model, convention, precision, phase, setting, sharing, launch and fusion
create or replace view mart.predicted_step as
with
group_time as (
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
        sum(predicted_s) as seconds,
        sum(op.lower_bound_s) as lower_bound_s,
        coalesce(sum(op.lower_bound_s) filter (is_covered), 0) as covered_s,
        coalesce(list(op.op) filter (not is_covered), []) as uncovered_ops,
        coalesce(list(transferred_from) filter (transferred_from is not null), []) as relatives,
        bool_or(level = 'interconnect') as is_exchange,
        sum(op.start_s) as start_s,
        sum(op.gap_s) as gap_s,
        sum(op.graph_gap_s) as graph_gap_s,
    from mart.step_op as op
    where convention <> 'custom'
    group by all
),

step as (
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
        sum(seconds) as seconds,
        sum(group_time.lower_bound_s) as lower_bound_s,
        sum(covered_s) / sum(group_time.lower_bound_s) as covered_share,
        nullif(
            array_to_string(list_sort(list_distinct(flatten(list(uncovered_ops)))), ', '), ''
        ) as uncovered_ops,
        nullif(
            array_to_string(list_sort(list_distinct(flatten(list(relatives)))), ', '), ''
        ) as transferred_from,
        arg_max(op_group, seconds) as dominant_op_group,
        max(seconds) / sum(seconds) as dominant_share,
        map_from_entries(list((op_group, seconds) order by seconds desc)) as op_group_s,
        bool_or(is_exchange) as has_link,
        sum(start_s) as start_s,
        sum(gap_s) as gap_s,
        sum(graph_gap_s) as graph_gap_s,
    from group_time
    group by all
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
    launch.launch,
    step.fusion,
    mart.launched_s(
        launch.launch, step.seconds, step.start_s, step.gap_s, step.graph_gap_s
    ) as predicted_s,
    case step.phase
        when 'prefill' then step.batch_size * step.query_length
        when 'mixed' then step.batch_size + step.query_length
        else step.batch_size
    end / predicted_s as tokens_per_s,
    step.lower_bound_s,
    step.op_group_s,
    predicted_s - step.seconds as host_wait_s,
    step.dominant_op_group,
    step.dominant_share,
    step.covered_share,
    step.uncovered_ops,
    error.holdout_mape,
    step.transferred_from,
    launch.launch = mart.default_launch(step.phase) as is_default_launch,
from step
cross join (values ('eager'), ('graph')) as launch (launch)
left join core.step_calibration as error
    on
        step.hardware_id = error.hardware_id
        and step.phase = error.phase
        and step.tensor_parallel = error.tensor_parallel
        and launch.launch = error.launch
        and step.fusion = error.fusion
-- devices that share a model need a link between them
where
    step.tensor_parallel * step.expert_parallel * step.pipeline_parallel = 1
    or step.has_link
    or step.convention <> 'engine';

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
