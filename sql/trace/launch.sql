-- one row per call of the runtime that launches work: the leaf that made it, by its id, else by the time
create table launch as
select
    call.row_id,
    call.correlation,
    call.process,
    call."start",
    op_leaf.name,
    if(call.id >= 0, op_leaf.leaf, if(call."start" <= leaf."start" + leaf.us, leaf.leaf, null)) as leaf,
from call
asof left join leaf on call.thread = leaf.thread and call."start" >= leaf."start"
left join op_leaf on call.id = op_leaf.id and call.process = op_leaf.process
where call.kind = $launch
