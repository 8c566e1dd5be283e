-- one row per device of the user's
select hardware_id, from core.hardware where source_id not like 'shipped/%' order by hardware_id
