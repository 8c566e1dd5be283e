-- one row per model, precision and sharing
create or replace view core.weight_memory as
with
model as (
    select writer, id as model_id,
    from pushed.agreed
    where kind = 'model'
),

precision as (
    select writer, id as precision_id,
    from pushed.agreed
    where kind = 'precision'
)

select own.* exclude (writer),
from pushed.weight_memory as own
inner join model using (writer, model_id)
inner join precision using (writer, precision_id)
inner join (select writer, pushed_at, from pushed.writer) as push using (writer)
qualify
    row_number() over (
        partition by
            model_id, precision_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel
        order by push.pushed_at desc, writer
    ) = 1;
