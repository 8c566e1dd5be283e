-- What share of its datasheet values does each device reach in measurements?
select
    hardware_id,
    name,
    round(100 * lowest / default_value, 1) as percent_reached,
    origins,
from mart.spec_conflict
where origins like '%measured%' and lowest < default_value
order by percent_reached desc, hardware_id, name
