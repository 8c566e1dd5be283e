-- one row per profile in the home's catalog, and device, that has kernels to draw
select distinct
    regexp_extract(source_id, '([^/]*)$') as profile,
    hardware_id,
from core.measurement
where
    mart.profile_kind(source_id) is not null
    and op_group <> 'ceiling'
    and flops > 0
order by all
