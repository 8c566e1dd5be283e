-- Which share of its datasheet has each device been measured to reach?
select
    hardware_id,
    name,
    round(100 * lowest_per_s / default_per_s, 1) as percent_reached,
    origins,
from mart.spec_conflict
where origins like '%measured%' and lowest_per_s < default_per_s
order by percent_reached desc, hardware_id, name
