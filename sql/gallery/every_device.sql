-- one row per device
select hardware_id, from core.hardware order by hardware_id
