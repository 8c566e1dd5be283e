-- one row per device, kind of op, dtype and launch that a step is made of: the coefficients of its calibration
select
    hardware_id,
    op_kind,
    dtype,
    launch,
    compute_efficiency,
    bandwidth_efficiency,
    overhead_s,
    blend,
    tile_limit,
    wave_exponent,
    partial_wave_exponent,
    tile_blend,
    sustained_exponent,
    tile_overhead_s,
    stream_limit,
    stream_exponent,
    serial_s,
    cached_bytes,
    cached_cost,
from core.calibration
where launch = 'graph' or op_kind in ('dispatch', 'dispatch_shared', 'gap')
order by hardware_id, op_kind, dtype, launch
