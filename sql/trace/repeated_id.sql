-- one row per id that several ops of one process have
create table repeated_id as
select
    process,
    id,
from op
where id >= 0
group by process, id
having count(*) > 1
