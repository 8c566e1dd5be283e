-- one row per model that has ops, or file of the user's ops
select distinct
    shape.model_id,
    coalesce(model.short_name, shape.model_id) as short_name,
    model.published_precision,
from core.op_shape as shape
left join core.model as model using (model_id)
where
    shape.tensor_parallel = 1
    and shape.expert_parallel = 1
    and shape.pipeline_parallel = 1
    and shape.data_parallel = 1
    and shape.level = 'dram'
order by short_name, shape.model_id
