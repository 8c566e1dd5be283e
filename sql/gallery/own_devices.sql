-- one row per device that does not ship
select hardware_id, from core.hardware where source_id not like 'shipped/%' order by hardware_id
