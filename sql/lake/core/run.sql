-- one row per run of every home, in the order of their starts
create or replace view core.run as
with
run as (
    select own.* exclude (writer),
    from pushed.run as own
    inner join (select writer, pushed_at, from pushed.writer) as push using (writer)
    -- a copy of a home has the runs of that home
    qualify
        row_number() over (partition by own.run_id order by push.pushed_at desc, push.writer) = 1
)

select
    * replace (row_number() over (order by started_at, run_id) as run_number),
from run;
