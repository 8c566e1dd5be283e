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
    cost.compute_dtype as dtype,
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
order by
    shape.model_id,
    shape.convention,
    shape.phase,
    cost.precision_id,
    shape.batch_size,
    shape.sequence_length,
    shape.query_length,
    shape.op
