-- one row per key of a table; if several writers have a key, that of the last push
create or replace view {view} as
select {columns},
from {table} as own
inner join (select writer, pushed_at, from pushed.writer) as push using (writer)
qualify
    row_number() over (partition by {keys} order by push.pushed_at desc, push.writer) = 1;
