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
    short_name,
    null,
    false,
from core.op_set
where op_set_id in (select model_id from core.op_shape where level = 'dram')
order by short_name, model_id
