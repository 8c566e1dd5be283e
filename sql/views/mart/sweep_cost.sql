-- one row per sweep, op shape and precision
create or replace view mart.sweep_cost as
with
-- the view has its columns, with their types, even if there is no sweep
described as (
    select
        sweep.sweep_id,
        shape.model_id,
        shape.convention,
        cost.precision_id,
        shape.phase,
        shape.batch_size,
        shape.sequence_length,
        shape.query_length,
        shape.tensor_parallel,
        shape.op,
        shape.op_group,
        shape.level,
        shape.repeat,
        cost.flops,
        cost.weight_bytes,
        cost.activation_bytes,
        cost.kv_bytes,
        cost.bytes,
        cost.intensity_flops_per_byte,
        cost.state_bytes,
        cost.compute_dtype,
        shape.expert_parallel,
        shape.pipeline_parallel,
        shape.data_parallel,
        shape.idle_repeat,
        shape.kind,
        shape.m,
        shape.k,
        shape.n,
        shape.matrices,
        shape.kv_heads,
        shape.head_dim,
    from core.op_shape as shape
    inner join core.op_cost as cost using (shape_id)
    cross join core.sweep as sweep
    where false
)

select * from described
{parts};

comment on view mart.sweep_cost is 'one row per sweep, op shape and precision: the work of one execution and the bytes that it must move, read from the sweep''s files';
comment on column mart.sweep_cost.level is 'what the bytes move through: dram, another memory level, or interconnect';
comment on column mart.sweep_cost.phase is 'prefill, decode, speculative or mixed';
comment on column mart.sweep_cost.kind is 'formula of its cost, as in core.op_shape; like the dimensions beside it null in sweeps without made-up devices';
