-- one row per op with an id of its own: the leaf that it is, or is inside of. Ops whose id other processes have too are
-- not the only ones.
create table op_leaf as
with
shared as (
    select id
    from op
    where id >= 0
    group by id
    having count(distinct process) > 1
)

select
    op.id,
    op.process,
    op.name,
    shared.id is null as is_only,
    if(op."start" + op.us / 2 <= leaf."start" + leaf.us and op.us <= leaf.us, leaf.leaf, null) as leaf,
from op
asof left join leaf on op.thread = leaf.thread and op."start" >= leaf."start"
left join shared on op.id = shared.id
anti join repeated_id on op.process = repeated_id.process and op.id = repeated_id.id
where op.id >= 0
