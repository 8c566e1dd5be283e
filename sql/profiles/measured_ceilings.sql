-- one row per measured ceiling of a device
select *
from core.ceiling
where hardware_id = $hardware_id and basis = 'measured'
order by all
