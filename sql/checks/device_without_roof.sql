-- one row per device that has no default roof
select hardware_id, short_name,
from core.hardware
anti join (select hardware_id from mart.roof where is_default) using (hardware_id)
