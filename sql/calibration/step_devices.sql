-- one row per device with measured steps
select distinct hardware_id
from core.step_measurement
order by hardware_id
