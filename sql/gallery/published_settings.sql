-- one row per setting of a decode step that a model's ops were computed at in the precision that it is published in
with
-- the ops of a model at one setting are computed in the same precisions, so one of them stands for all
setting as (
    select
        model_id,
        convention,
        tensor_parallel,
        batch_size,
        sequence_length,
        min(shape_id) as shape_id,
    from core.op_shape
    where
        phase = 'decode'
        and convention <> 'custom'
        and expert_parallel = 1
        and pipeline_parallel = 1
        and data_parallel = 1
    group by all
)

select
    setting.model_id,
    setting.convention,
    model.published_precision as precision_id,
    setting.tensor_parallel,
    setting.batch_size,
    setting.sequence_length,
from setting
inner join core.model as model using (model_id)
semi join core.op_cost as cost
    on setting.shape_id = cost.shape_id and model.published_precision = cost.precision_id
order by all
