-- one row per op shape and precision
create or replace view core.op_cost as
with
shape as (
    select own.writer, own.shape_id,
    from pushed.op_shape as own
    inner join pushed.agreed as agreed
        on agreed.writer = own.writer and agreed.kind = 'model' and agreed.id = own.model_id
),

agreed as (
    select writer, id as precision_id,
    from pushed.agreed
    where kind = 'precision'
)

select own.* exclude (writer),
from pushed.op_cost as own
inner join shape using (writer, shape_id)
inner join agreed using (writer, precision_id)
inner join (select writer, pushed_at, from pushed.writer) as push using (writer)
qualify
    row_number() over (
        partition by shape_id, precision_id order by push.pushed_at desc, writer
    ) = 1;
