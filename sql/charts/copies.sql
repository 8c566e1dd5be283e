-- one row per measurement without arithmetic of the user's on a device, with the share of the bandwidth that it reaches
select
    'measured' as layer,
    hardware.short_name as hardware,
    copy.op as label,
    copy.level,
    copy.bytes,
    copy.latency_s,
    copy.achieved_bytes_per_s,
    copy.bandwidth_bytes_per_s,
    copy.bandwidth_fraction,
    copy.likely_cause,
    copy.method,
    copy.source,
from mart.measured_point as copy
inner join core.hardware as hardware using (hardware_id)
where
    copy.hardware_id = $hardware_id
    and copy.source_id not like 'shipped/%'
    and copy.flops = 0
    and copy.op_group <> 'ceiling'
order by copy.bandwidth_fraction desc nulls last, copy.achieved_bytes_per_s desc, copy.measurement_id
