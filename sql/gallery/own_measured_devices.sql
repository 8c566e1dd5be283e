-- one row per device that the user measured
select distinct hardware_id,
from core.measurement
where source_id not like 'shipped/%'
order by hardware_id
