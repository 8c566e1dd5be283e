-- one row per hardware, model, convention, precision, phase, setting, sharing and op group
create or replace view mart.op_group_time as
with
point as (
    select *, true as is_slowest,
    from mart.roofline_point
    where convention <> 'custom'
    union all by name
    -- a user's op may have bytes at several levels, but it runs once
    select
        *,
        row_number() over (
            partition by hardware_id, model_id, precision_id, tensor_parallel, op
            order by lower_bound_s desc, level
        ) = 1 as is_slowest,
    from mart.roofline_point
    where convention = 'custom'
),

timed as (
    select *, if(is_slowest, lower_bound_s * repeat, 0) as seconds,
    from point
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
    op_group,
    string_agg(op, ', ' order by op) filter (is_slowest) as ops,
    coalesce(sum(flops * repeat) filter (is_slowest), 0) as flops,
    coalesce(sum(bytes * repeat) filter (level = 'dram'), 0) as bytes,
    coalesce(sum(bytes * repeat) filter (level = 'interconnect'), 0) as interconnect_bytes,
    sum(seconds) as lower_bound_s,
    coalesce(sum(seconds) filter (bound not in ('compute', 'interconnect')), 0) as memory_s,
    coalesce(sum(seconds) filter (bound = 'compute'), 0) as compute_s,
    coalesce(sum(seconds) filter (bound = 'interconnect'), 0) as interconnect_s,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
    coalesce(max(activation_bytes) filter (level = 'dram'), 0) as live_bytes,
    coalesce(sum(lower_bound_s * idle_repeat) filter (is_slowest), 0) as bubble_s,
from timed
group by all;

comment on view mart.op_group_time is 'one row per hardware, model, convention, precision, phase, setting, sharing and op group: work, bytes and time of the ops of a group in a whole step at the roof';
comment on column mart.op_group_time.ops is 'the operators of the row';
comment on column mart.op_group_time.interconnect_bytes is 'bytes that one device sends to others';
comment on column mart.op_group_time.lower_bound_s is 'lower bound of the step''s time: the sum over its ops';
comment on column mart.op_group_time.live_bytes is 'the most activations that one op of the group reads and writes';
comment on column mart.op_group_time.memory_s is 'time in memory-bound ops';
comment on column mart.op_group_time.compute_s is 'time in compute-bound ops';
comment on column mart.op_group_time.interconnect_s is 'time in ops that wait for the interconnect';
comment on column mart.op_group_time.bubble_s is 'time that a device waits for the other stages of a pipeline, less that of ops that run meanwhile; 0 without one';
