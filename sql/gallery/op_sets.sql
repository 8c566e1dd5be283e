-- one row per file of the user's ops, with the precision that most of its ops have
select shape.model_id, cost.precision_id,
from core.op_shape as shape
inner join core.op_cost as cost using (shape_id)
where shape.convention = 'custom'
group by shape.model_id, cost.precision_id
qualify row_number() over (
    partition by shape.model_id
    order by count(*) desc, cost.precision_id <> 'fp16', cost.precision_id
) = 1
order by shape.model_id
