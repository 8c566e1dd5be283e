-- one row per device and dtype: its default DRAM roof
select
    roof.hardware_id,
    roof.short_name,
    hardware.vendor,
    roof.dtype,
    roof.basis,
    roof.peak_flops_per_s,
    roof.bandwidth_bytes_per_s,
    roof.ridge_flops_per_byte,
    roof.peak_origin,
    roof.bandwidth_origin,
from mart.roof as roof
inner join core.hardware as hardware using (hardware_id)
where roof.is_default
order by hardware.vendor, roof.short_name, roof.hardware_id, roof.dtype
