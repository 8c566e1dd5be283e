-- one row per roof: device, dtype, basis and memory level
select
    hardware_id,
    dtype,
    level,
    basis,
    if(is_default, 'yes', '') as "default",
    format('{:.5g}', peak_flops_per_s / 1e12) as "peak, TFLOP/s",
    format('{:.5g}', bandwidth_bytes_per_s / 1e9) as "bandwidth, GB/s",
    format('{:.4g}', ridge_flops_per_byte) as "ridge, FLOP/byte",
    peak_origin as "origin of the peak",
    bandwidth_origin as "origin of the bandwidth",
from mart.roof_by_level
order by hardware_id, level, peak_flops_per_s desc, dtype, basis
