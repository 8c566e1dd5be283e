-- one row per model or file of custom ops
create or replace view mart.op_owner as
select model_id, short_name, true as is_model,
from core.model
union all
select op_set_id as model_id, short_name, false as is_model,
from core.op_set;

comment on view mart.op_owner is 'one row per model or file of custom ops: what ops belong to';
comment on column mart.op_owner.model_id is 'the model, by the name of its config file; for custom ops, the name of their file';
comment on column mart.op_owner.is_model is 'whether it is a model; else a file of ops';
