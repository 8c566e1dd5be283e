-- one row per device with measurements
select distinct hardware_id, from core.measurement order by hardware_id
