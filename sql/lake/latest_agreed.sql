-- one row per key of a table, from writers that describe the device, the model or the precision as the last push does
create or replace view {view} as
select {columns},
from {table} as own
inner join (select writer, pushed_at, from pushed.writer) as push using (writer)
inner join pushed.agreed as agreed
    on agreed.writer = own.writer and agreed.kind = $kind and agreed.id = own.{id}
qualify
    row_number() over (partition by {keys} order by push.pushed_at desc, push.writer) = 1;
