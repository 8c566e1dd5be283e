-- one row per device that was measured
select distinct hardware_id, from core.measurement order by hardware_id
