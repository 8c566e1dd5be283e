-- points at the roof, each once a fusion: the time that an op is expected to take of a step, with the element-wise
-- kernels that run for it
create or replace macro mart.step_ops(points) as table
with
-- one kernel after the other takes as long in a stream as in a graph, if the host is fast enough
in_graph as (
    select *, 'graph' as launch,
    from query_table(points)
),

-- what runs for an op besides, or in its place: up to two kinds of kernels, of 16 bits even if products are shorter
asked as (
    select
        *,
        m * k as input_elements,
        if(op in (select distinct kind from core.op_kernel), op, kind) as asked_kind,
        case when dtype in ('fp8', 'int8') then 2 when dtype in ('fp4', 'fp6') then 4 else 1 end as widening,
    from mart.kernel_times('in_graph')
),

piece as (
    select
        calibration.hardware_id,
        kernel.*,
        calibration.overhead_s,
        calibration.bandwidth_efficiency,
        calibration.cached_bytes,
        calibration.cached_cost,
    from core.op_kernel as kernel
    inner join core.calibration as calibration
        on
            kernel.runs = calibration.op_kind
            and kernel.dtype = calibration.dtype
            and calibration.launch = 'graph'
),

pieces as (
    select
        hardware_id,
        fusion,
        kind,
        phase,
        dtype,
        any_value(piece) filter (place = 1) as one,
        any_value(piece) filter (place = 2) as two,
    from piece
    group by all
),

timed as (
    select
        asked.*,
        fusion.fusion,
        asked.repeat + asked.idle_repeat as times,
        coalesce(pieces.one.is_op, true)::int
        + coalesce(pieces.one.times * pieces.one.kernels, 0)
        + coalesce(pieces.two.times * pieces.two.kernels, 0) as kernels_at_a_time,
        if(coalesce(pieces.one.is_op, true), asked.predicted_s, 0)
        + mart.kernels_s(asked, pieces.one)
        + mart.kernels_s(asked, pieces.two) as expected_s,
    from asked
    cross join (values ('engine'), ('none')) as fusion (fusion)
    left join pieces
        on
            asked.hardware_id = pieces.hardware_id
            and fusion.fusion = pieces.fusion
            and asked.asked_kind = pieces.kind
            and asked.phase = pieces.phase
            and asked.dtype = pieces.dtype
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
    timed.* exclude (predicted_s, expected_s, lower_bound_s, kernels_at_a_time),
    coalesce(expected_s, lower_bound_s) * times as predicted_s,
    lower_bound_s * times as lower_bound_s,
    kernels_at_a_time * times as kernels,
    kernels
    * coalesce(
        if(
            tensor_parallel * expert_parallel * pipeline_parallel > 1,
            host.shared_start_s,
            host.start_s
        ),
        0
    ) as start_s,
    kernels * coalesce(host.gap_s, 0) as gap_s,
    kernels * coalesce(host.graph_gap_s, 0) as graph_gap_s,
    expected_s is not null as is_covered,
from timed
left join host using (hardware_id, dtype);
