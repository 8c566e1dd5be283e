-- Where do documents disagree by more than 5 % about a device, not counting measurements?
select
    hardware_id,
    name,
    round(100 * (max(value_per_s) / min(value_per_s) - 1), 1) as percent_apart,
    string_agg(format('{:g}: {}', value_per_s, origin), '; ' order by value_per_s desc) as origins,
from core.ceiling
where basis not in ('measured', 'counter')
group by hardware_id, name, pipe, ceiling_name
having percent_apart > 5
order by percent_apart desc, hardware_id, name, pipe, ceiling_name
