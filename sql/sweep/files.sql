-- one row per file of a sweep
select
    sweep.sweep_id,
    sweep.folder,
    part.path,
from core.sweep as sweep
inner join core.sweep_part as part using (sweep_id)
order by sweep.sweep_id, part.path
