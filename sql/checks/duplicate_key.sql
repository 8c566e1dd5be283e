-- one row per key that several rows have
select
    'core.op_shape' as object,
    concat_ws(
        ' ', model_id, convention, phase, batch_size, sequence_length,
        query_length, tensor_parallel, op, level,
        expert_parallel, pipeline_parallel, data_parallel
    ) as key,
    count(*) as rows,
from core.op_shape
group by all
having rows > 1
union all
select
    'core.op_cost' as object,
    concat_ws(' ', shape_id, precision_id) as key,
    count(*) as rows,
from core.op_cost
group by all
having rows > 1
union all
select
    'core.hardware' as object,
    short_name as key,
    count(*) as rows,
from core.hardware
group by all
having rows > 1
union all
select
    'core.model' as object,
    short_name as key,
    count(*) as rows,
from core.model
group by all
having rows > 1
union all
select
    'mart.roof' as object,
    concat_ws(' ', hardware_id, dtype, basis) as key,
    count(*) as rows,
from mart.roof
group by all
having rows > 1
union all
select
    'mart.roof_by_level' as object,
    concat_ws(' ', hardware_id, dtype, level) as key,
    count(*) as rows,
from mart.roof_by_level
where is_default
group by all
having rows > 1
