-- one row per chart of users' galleries; if several have a name, those of the last push
create or replace view core.own_chart as
select own.* exclude (writer),
from pushed.own_chart as own
inner join pushed.writer as push using (writer)
qualify
    dense_rank() over (partition by own.name order by push.pushed_at desc, push.writer) = 1;
