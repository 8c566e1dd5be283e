-- one row per op of a file of the user's ops and precision
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
    shape.pipe,
    cost.compute_dtype as dtype,
    cost.flops,
    cost.bytes,
from core.op_shape as shape
inner join core.op_cost as cost using (shape_id)
where shape.model_id in (select op_set_id from core.op_set) and shape.level = 'dram'
order by shape.model_id, cost.precision_id, shape.op
