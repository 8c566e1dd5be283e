-- one row per hardware, op shape, precision and fusion
create or replace view mart.step_op as
with
-- one kernel after the other takes as long in a stream as in a graph, if the host is fast enough
op as (
    select * from mart.op_prediction
    where launch = 'graph' and convention <> 'custom'
),

-- the element-wise kernels that run for an op, where they are not one kernel of its kind
kernel as (
    select
        op.*,
        fusion.fusion,
        coalesce(of_op.is_op, of_kind.is_op, true) as runs_op,
        coalesce(of_op.kernels, of_kind.kernels, 0) as extra_kernels,
        coalesce(of_op.bytes_factor, of_kind.bytes_factor, 0) * op.bytes
        + coalesce(of_op.activation_factor, of_kind.activation_factor, 0) * op.activation_bytes
        + coalesce(of_op.token_factor, of_kind.token_factor, 0)
        * op.kv_bytes * op.query_length / op.sequence_length as moved_bytes,
        generic.overhead_s is not null as has_generic,
        -- without a calibration at the roof
        coalesce(generic.overhead_s, 0) as kernel_overhead_s,
        mart.reached_memory_s(
            moved_bytes / op.bandwidth_bytes_per_s,
            coalesce(generic.bandwidth_efficiency, 1),
            moved_bytes / greatest(extra_kernels, 1),
            generic.cached_bytes
        ) as moved_s,
    from op
    cross join (values ('engine'), ('none')) as fusion (fusion)
    left join core.op_kernel as of_op
        on fusion.fusion = of_op.fusion and op.op = of_op.kind and op.phase = of_op.phase
    left join core.op_kernel as of_kind
        on fusion.fusion = of_kind.fusion and op.kind = of_kind.kind and op.phase = of_kind.phase
    left join core.calibration as generic
        on
            op.hardware_id = generic.hardware_id
            and op.dtype = generic.dtype
            and op.launch = generic.launch
            and generic.op_kind = 'elementwise'
),

timed as (
    select
        *,
        repeat + idle_repeat as times,
        case when runs_op then predicted_s when has_generic then 0 end
        + if(moved_bytes = 0, 0, moved_s) + extra_kernels * kernel_overhead_s as expected_s,
        coalesce(expected_s, lower_bound_s) as seconds,
    from kernel
),

-- what the host needs to start a kernel
host as (
    select hardware_id, dtype, overhead_s as start_s,
    from core.calibration
    where op_kind = 'dispatch' and launch = 'eager'
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
    kernels * coalesce(host.start_s, 0) as start_s,
    expected_s is not null as is_covered,
    transferred_from,
    is_measured,
from timed
left join host using (hardware_id, dtype);

comment on view mart.step_op is 'one row per hardware, op shape, precision and fusion: the time that an op is expected to take of a step, with the element-wise kernels that run for it';
comment on column mart.step_op.fusion is 'engine: add and norm, activation and gate, and RoPE are one kernel each; none: each element-wise op of plain PyTorch is a kernel of its own';
comment on column mart.step_op.predicted_s is 'expected time of all its executions in a step; at the roof if no calibration covers it';
comment on column mart.step_op.lower_bound_s is 'lower bound of the step''s time: the sum over its ops, and the time that a device waits for other stages';
comment on column mart.step_op.kernels is 'kernels that run for it in a step';
comment on column mart.step_op.start_s is 'time that the host needs to start them; 0 if it is not known';
comment on column mart.step_op.is_covered is 'whether a calibration covers it';
