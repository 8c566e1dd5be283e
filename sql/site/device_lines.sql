-- one row per device and peak: a roof that the device's page draws, of the default peak of each dtype and the default bandwidth
select
    hardware_id,
    string_agg(dtype, ', ' order by dtype) as dtypes,
    bool_or(dtype in ('bf16', 'fp16')) as is_half,
    bool_and(dtype like 'int%') as is_integer,
    bandwidth_bytes_per_s,
    peak_flops_per_s,
    ridge_flops_per_byte,
from mart.roof
where is_default
group by hardware_id, bandwidth_bytes_per_s, peak_flops_per_s, ridge_flops_per_byte
order by hardware_id, peak_flops_per_s desc, dtypes
