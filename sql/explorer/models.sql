-- one row per model, or file of the user's ops, which have no formulas
select
    model_id,
    short_name,
    published_precision,
    true as has_formulas,
from core.model
union all
select
    op_set_id,
    any_value(op_set.short_name),
    min(cost.precision_id),
    false,
from core.op_set as op_set
inner join core.op_shape as shape on op_set.op_set_id = shape.model_id
inner join core.op_cost as cost using (shape_id)
where shape.level = 'dram'
group by op_set_id
order by short_name, model_id
