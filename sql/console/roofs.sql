-- one row per device and dtype: the default roof, which the console draws the points of a result on
select
    hardware_id,
    short_name,
    dtype,
    peak_flops_per_s,
    bandwidth_bytes_per_s,
    ridge_flops_per_byte,
    peak_origin,
from mart.roof
where is_default
order by hardware_id, peak_flops_per_s desc, dtype
