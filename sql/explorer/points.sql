-- one row per op of a model, setting and precision, without parallelism
select
    shape.model_id,
    shape.convention,
    shape.phase,
    cost.precision_id,
    shape.batch_size,
    shape.sequence_length,
    shape.query_length,
    shape.op,
    shape.op_group,
    shape.repeat,
    cost.flops,
    cost.bytes,
from core.op_shape as shape
inner join core.op_cost as cost using (shape_id)
where
    shape.tensor_parallel = 1
    and shape.expert_parallel = 1
    and shape.pipeline_parallel = 1
    and shape.data_parallel = 1
    and shape.level = 'dram'
    -- a setting of the explorer has one roof
    and cost.precision_id not in (
        select precision.precision_id
        from core.precision as precision
        inner join core.precision_part as apart using (precision_id)
        where apart.compute_dtype <> precision.compute_dtype
    )
order by
    shape.model_id,
    shape.convention,
    shape.phase,
    cost.precision_id,
    shape.batch_size,
    shape.sequence_length,
    shape.query_length,
    shape.op
