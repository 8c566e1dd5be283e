-- one row per custom op, level and number of devices, with the precisions that it is computed in
select
    shape.model_id,
    shape.op,
    shape.op_group,
    shape.kind,
    shape.m,
    shape.k,
    shape.n,
    shape.matrices,
    shape.level,
    shape.repeat,
    shape.tensor_parallel,
    shape.pipe,
    list(cost.precision_id order by cost.precision_id) as precisions,
    list(cost.flops order by cost.precision_id) filter (shape.kind = 'given') as flops,
    list(cost.bytes order by cost.precision_id) filter (shape.kind = 'given') as bytes,
from core.op_shape as shape
inner join core.op_cost as cost using (shape_id)
where shape.convention = 'custom'
group by all
order by shape.model_id, shape.op, shape.level, shape.tensor_parallel
