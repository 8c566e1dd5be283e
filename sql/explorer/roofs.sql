-- one row per device, dtype, level and pipe that ops name: the default roof that an op there is compared with
select
    hardware_id,
    level,
    dtype,
    kernel_pipe as pipe,
    basis,
    peak_flops_per_s,
    bandwidth_bytes_per_s,
    ridge_flops_per_byte,
    peak_origin,
    bandwidth_origin,
    coalesce(reduces_in_switch, false) as reduces_in_switch,
from mart.kernel_roof
where
    is_default
    and level in ('dram', 'interconnect')
    and kernel_accumulator = ''
    and (kernel_pipe = '' or kernel_pipe in (select pipe from core.op_shape))
order by hardware_id, level, dtype, kernel_pipe
