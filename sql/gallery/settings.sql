-- one row per setting at which the ops of a model were computed
select distinct
    cost.precision_id,
    shape.tensor_parallel,
    shape.batch_size,
    shape.sequence_length,
from core.op_shape as shape
inner join core.op_cost as cost using (shape_id)
where
    shape.model_id = $model_id
    and shape.convention = $convention
    and shape.expert_parallel = 1
    and shape.pipeline_parallel = 1
    and shape.data_parallel = 1
order by all
