-- one row per device
select
    hardware.hardware_id,
    hardware.name,
    hardware.short_name,
    hardware.vendor,
    hardware.architecture,
    format('{:,g} GB', hardware.memory_bytes / 1e9) as memory,
    format('{:,g} W', hardware.tdp_w) as tdp,
    format('{:,g} MiB', hardware.l2_bytes / 1048576) as l2_cache,
    hardware.multiprocessors,
    hardware.released,
    source.origin,
from core.hardware as hardware
inner join core.source as source using (source_id)
order by hardware.vendor, hardware.short_name
