-- one row per value that an option of a chart can have: devices, models, conventions, precisions and dtypes
select 'devices' as field, hardware_id as value, from core.hardware
union all
select 'model_id', model_id, from mart.op_owner
union all
select distinct 'convention', convention, from core.op_shape
union all
select 'precision_id', precision_id, from core.precision
union all
select distinct 'dtype', name, from core.ceiling where kind = 'compute'
order by all
