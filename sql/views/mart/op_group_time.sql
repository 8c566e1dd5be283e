-- one row per hardware, model, convention, precision, phase, setting, sharing and op group
create or replace view mart.op_group_time as
with
-- read twice: rows of the model that is asked for must not be sought among all
named as not materialized (
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
        op_group,
        op,
        flops,
        bytes,
        activation_bytes,
        level,
        bound,
        lower_bound_s,
        repeat,
        idle_repeat,
    from mart.roofline_point
),

point as (
    select *, true as is_slowest,
    from named
    where convention <> 'custom'
    union all by name
    -- a user's op may have bytes at several levels, but it runs once
    select
        *,
        row_number() over (
            partition by hardware_id, model_id, precision_id, tensor_parallel, op
            order by lower_bound_s desc, level
        ) = 1 as is_slowest,
    from named
    where convention = 'custom'
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
    ops,
    flops,
    bytes,
    interconnect_bytes,
    lower_bound_s,
    memory_s,
    compute_s,
    interconnect_s,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
    live_bytes,
    bubble_s,
from mart.op_group_times('point');

comment on view mart.op_group_time is 'one row per hardware, model, convention, precision, phase, setting, sharing and op group: work, bytes and time of the ops of a group in a whole step at the roof';
comment on column mart.op_group_time.ops is 'the operators of the row';
comment on column mart.op_group_time.interconnect_bytes is 'bytes that one device sends to others';
comment on column mart.op_group_time.lower_bound_s is 'lower bound of the step''s time: the sum over its ops';
comment on column mart.op_group_time.live_bytes is 'the most activations that one op of the group reads and writes';
comment on column mart.op_group_time.memory_s is 'time in memory-bound ops';
comment on column mart.op_group_time.compute_s is 'time in compute-bound ops';
comment on column mart.op_group_time.interconnect_s is 'time in ops that wait for the interconnect';
comment on column mart.op_group_time.bubble_s is 'time that a device waits for the other stages of a pipeline, less that of ops that run meanwhile; 0 without one';
