-- one row per device: what the list of devices shows; peaks of the default pipe and source
with peaks as (
    select
        hardware_id,
        max(peak_flops_per_s) filter (dtype = 'fp64') as fp64,
        max(peak_flops_per_s) filter (dtype = 'fp32') as fp32,
        max(peak_flops_per_s) filter (dtype in ('bf16', 'fp16')) as half,
        max(peak_flops_per_s) filter (dtype = 'fp8') as fp8,
        max(peak_flops_per_s) filter (dtype = 'fp4') as fp4,
    from mart.roof
    where is_default
    group by hardware_id
),

bandwidths as (
    select
        hardware_id,
        max(value_per_s) filter (name = 'dram') as dram,
        max(value_per_s) filter (name = 'interconnect') as link,
    from core.ceiling
    where kind = 'bandwidth' and is_default
    group by hardware_id
)

select
    hardware.hardware_id,
    hardware.short_name as device,
    hardware.vendor,
    hardware.architecture,
    year(hardware.released)::varchar as released,
    hardware.memory_bytes,
    bandwidths.dram as dram_bytes_per_s,
    peaks.fp64 as fp64_flops_per_s,
    peaks.fp32 as fp32_flops_per_s,
    peaks.half as half_flops_per_s,
    peaks.fp8 as fp8_flops_per_s,
    peaks.fp4 as fp4_flops_per_s,
    peaks.half / bandwidths.dram as ridge_flops_per_byte,
    bandwidths.link as link_bytes_per_s,
    hardware.tdp_w,
    peaks.half / hardware.tdp_w as flops_per_joule,
from core.hardware as hardware
left join peaks using (hardware_id)
left join bandwidths using (hardware_id)
order by hardware.vendor, hardware.released desc nulls last, hardware.short_name
