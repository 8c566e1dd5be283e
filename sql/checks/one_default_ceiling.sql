-- one row per device, kind and name without exactly one default ceiling
select
    hardware_id,
    kind,
    name,
    count(*) filter (is_default) as defaults,
from core.ceiling
group by all
having defaults <> 1
