-- one row per hardware, op shape, precision and fusion
create or replace view mart.step_op as
with
-- one kernel after the other takes as long in a stream as in a graph, if the host is fast enough
op as (
    select * from mart.op_prediction
    where launch = 'graph' and convention <> 'custom'
),

-- what runs for an op besides, or in its place: up to two kinds of kernels, of 16 bits even if products are shorter
asked as (
    select
        *,
        if(op in (select distinct kind from core.op_kernel), op, kind) as asked_kind,
        case when dtype in ('fp8', 'int8') then 2 when dtype in ('fp4', 'fp6') then 4 else 1 end as widening,
    from op
),

piece as (
    select
        kernel.* exclude (origin, note, source_id),
        calibration.hardware_id,
        calibration.overhead_s,
        calibration.bandwidth_efficiency,
        calibration.cached_bytes,
        calibration.cached_cost,
        calibration.blend,
    from core.op_kernel as kernel
    inner join core.calibration as calibration
        on
            kernel.runs = calibration.op_kind
            and kernel.dtype = calibration.dtype
            and calibration.launch = 'graph'
),

kernel as (
    select
        asked.*,
        fusion.fusion,
        coalesce(one.is_op, true) as runs_op,
        coalesce(one.times * one.kernels, 0) + coalesce(two.times * two.kernels, 0) as extra_kernels,
        mart.kernels_s(asked, one) + mart.kernels_s(asked, two) as extra_s,
    from asked
    cross join (values ('engine'), ('none')) as fusion (fusion)
    left join piece as one
        on
            asked.hardware_id = one.hardware_id
            and fusion.fusion = one.fusion
            and asked.asked_kind = one.kind
            and asked.phase = one.phase
            and asked.dtype = one.dtype
            and one.place = 1
    left join piece as two
        on
            asked.hardware_id = two.hardware_id
            and fusion.fusion = two.fusion
            and asked.asked_kind = two.kind
            and asked.phase = two.phase
            and asked.dtype = two.dtype
            and two.place = 2
),

timed as (
    select
        *,
        repeat + idle_repeat as times,
        if(runs_op, predicted_s, 0) + extra_s as expected_s,
        coalesce(expected_s, lower_bound_s) as seconds,
    from kernel
),

-- what the host needs to start a kernel, alone or as one of several processes, and what the device needs between two
host as (
    select
        hardware_id,
        dtype,
        coalesce(any_value(overhead_s) filter (op_kind = 'dispatch' and launch = 'eager'), 0)
            as start_s,
        coalesce(
            any_value(overhead_s) filter (op_kind = 'dispatch_shared' and launch = 'eager'), start_s
        ) as shared_start_s,
        coalesce(any_value(overhead_s) filter (op_kind = 'gap' and launch = 'eager'), 0) as gap_s,
        coalesce(any_value(overhead_s) filter (op_kind = 'gap' and launch = 'graph'), 0)
            as graph_gap_s,
    from core.calibration
    where op_kind in ('dispatch', 'dispatch_shared', 'gap')
    group by all
)

select
    timed.hardware_id,
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
    seconds * times as predicted_s,
    lower_bound_s * times as lower_bound_s,
    (runs_op::int + extra_kernels) * times as kernels,
    kernels
    * coalesce(
        if(tensor_parallel * expert_parallel * pipeline_parallel > 1, host.shared_start_s, host.start_s), 0
    ) as start_s,
    kernels * coalesce(host.gap_s, 0) as gap_s,
    expected_s is not null as is_covered,
    transferred_from,
    is_measured,
    kernels * coalesce(host.graph_gap_s, 0) as graph_gap_s,
from timed
left join host using (hardware_id, dtype);

comment on view mart.step_op is 'one row per hardware, op shape, precision and fusion: the time that an op is expected to take of a step, with the element-wise kernels that run for it';
comment on column mart.step_op.fusion is 'engine: add and norm, activation and gate, and RoPE are one kernel each; none: each element-wise op of plain PyTorch is a kernel of its own';
comment on column mart.step_op.predicted_s is 'expected time of all its executions in a step, without what the device needs between kernels; at the roof if no calibration covers it';
comment on column mart.step_op.lower_bound_s is 'lower bound of the step''s time: the sum over its ops, and the time that a device waits for other stages';
comment on column mart.step_op.kernels is 'kernels that run for it in a step';
comment on column mart.step_op.start_s is 'time that the host needs to start them; 0 if it is not known';
comment on column mart.step_op.gap_s is 'time that the device needs between them if each is started by the program; 0 if it is not known';
comment on column mart.step_op.graph_gap_s is 'time that the device needs between them in a graph; 0 if it is not known';
comment on column mart.step_op.is_covered is 'whether a calibration covers it';
