-- one row per measured step
create or replace view mart.measured_step as
with
shape as (
    select
        step.step_measurement_id,
        step.hardware_id,
        step.precision_id,
        step.fusion,
        step.launch,
        shape.shape_id,
    from core.step_measurement as step
    inner join core.op_shape as shape using (
        model_id, phase, batch_size, sequence_length, query_length,
        tensor_parallel, expert_parallel, pipeline_parallel, data_parallel
    )
    where shape.is_measured
),

-- few devices are measured: the others are left out before anything is predicted
point as (
    select * from mart.roofline_point
    where
        is_measured
        and level in ('dram', 'interconnect')
        and (hardware_id, precision_id) in (select (hardware_id, precision_id) from shape)
),

expected as (
    select
        shape.step_measurement_id,
        sum(op.lower_bound_s) as lower_bound_s,
        sum(op.predicted_s) as device_s,
        if(
            any_value(shape.launch) = 'graph',
            device_s + sum(op.graph_gap_s),
            greatest(device_s + sum(op.gap_s), sum(op.start_s))
        ) as expected_s,
        expected_s - device_s as host_wait_s,
        sum(op.kernels) as kernels,
        if(any_value(shape.launch) = 'graph', sum(op.graph_gap_s), sum(op.gap_s)) as gap_s,
        coalesce(sum(op.lower_bound_s) filter (op.is_covered), 0) / sum(op.lower_bound_s)
            as covered_share,
        string_agg(distinct op.op, ', ' order by op.op) filter (not op.is_covered) as uncovered_ops,
        string_agg(distinct op.transferred_from, ', ' order by op.transferred_from)
            as transferred_from,
    from mart.step_ops('point') as op
    inner join shape using (shape_id, hardware_id, precision_id, fusion)
    group by all
)

select
    step.step_measurement_id,
    step.hardware_id,
    step.model_id,
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
    step.latency_s,
    step.latency_min_s,
    step.latency_std_s,
    step.layers_timed,
    step.repeats,
    case step.phase
        when 'prefill' then step.batch_size * step.query_length
        when 'mixed' then step.batch_size + step.query_length
        else step.batch_size
    end / step.latency_s as tokens_per_s,
    expected.lower_bound_s,
    expected.lower_bound_s / step.latency_s as roof_fraction,
    expected.expected_s as predicted_s,
    expected.expected_s / step.latency_s - 1 as relative_error,
    expected.host_wait_s,
    expected.covered_share,
    expected.uncovered_ops,
    expected.transferred_from,
    step.method,
    step.software,
    step.device_name,
    step.measured_at,
    step.source_id,
    source.origin as source,
    expected.kernels,
    expected.gap_s,
from core.step_measurement as step
inner join core.source as source using (source_id)
-- a device may lack a roof of a dtype
left join expected using (step_measurement_id);

comment on view mart.measured_step is 'one row per measured step: the time of a whole step beside its lower bound and its expected time';
comment on column mart.measured_step.tokens_per_s is 'tokens of mart.step_time per second of the measured time';
comment on column mart.measured_step.lower_bound_s is 'lower bound of the step''s time: the sum over its ops, and the time that a device waits for other stages';
comment on column mart.measured_step.roof_fraction is 'share of the roof that is reached: lower bound / latency';
comment on column mart.measured_step.predicted_s is 'expected time of the step';
comment on column mart.measured_step.relative_error is 'predicted time / measured time - 1';
comment on column mart.measured_step.host_wait_s is 'part of the expected time that the device waits: between kernels, and if the program starts them, for the host';
comment on column mart.measured_step.covered_share is 'share of the least time of the ops that calibrations cover';
comment on column mart.measured_step.uncovered_ops is 'ops that no calibration covers; they count with the time at the roof; null if there are none';
comment on column mart.measured_step.transferred_from is 'the devices that were measured, if it is another one';
comment on column mart.measured_step.kernels is 'kernels of the step, as they are expected';
comment on column mart.measured_step.gap_s is 'part of the expected time that the device needs between kernels';
comment on column mart.measured_step.source is 'who measured it, and how';
