-- one row per setting, and models and precisions that have it alike: what the warehouse holds
with
setting as (
    select distinct
        shape.convention,
        shape.phase,
        shape.batch_size,
        shape.sequence_length,
        shape.query_length,
        shape.tensor_parallel,
        shape.expert_parallel,
        shape.pipeline_parallel,
        shape.data_parallel,
        shape.model_id,
        cost.precision_id,
    from core.op_shape as shape
    inner join core.op_cost as cost using (shape_id)
    where shape.convention <> 'custom'
),

model as (
    select * exclude (model_id), string_agg(model_id, '|' order by model_id) as models,
    from setting
    group by all
)

select * exclude (precision_id), string_agg(precision_id, '|' order by precision_id) as precisions,
from model
group by all
order by all
