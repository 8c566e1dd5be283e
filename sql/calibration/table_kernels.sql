-- one row per kernel of the frame table_kernel that has a roof: as sql/calibration/measured.sql
select
    kernel.hardware_id,
    mart.calibrated_kind(kernel.kind, kernel.op, kernel.matrices, kernel.kv_heads, kernel.head_dim) as kind,
    kernel.dtype,
    kernel.launch,
    '' as pipe,
    kernel.setting as model_id,
    kernel.op,
    kernel.m / kernel.matrices as rows,
    kernel.k,
    kernel.n,
    kernel.matrices,
    kernel.flops,
    kernel.bytes,
    mart.serial_steps(
        kernel.kind, kernel.n, kernel.tensor_parallel, kernel.query_length, kernel.sequence_length
    ) as serial_steps,
    false as is_elementwise,
    kernel.latency_s,
    roof.peak_flops_per_s,
    if(kernel.level = 'dram', roof.bandwidth_bytes_per_s, link.value_per_s) as bandwidth_bytes_per_s,
    hardware.multiprocessors,
    hardware.l2_bytes,
    kernel.source_id,
from table_kernel as kernel
inner join mart.roof as roof
    on kernel.hardware_id = roof.hardware_id and kernel.dtype = roof.dtype and roof.is_default
inner join core.hardware as hardware
    on kernel.hardware_id = hardware.hardware_id
left join core.ceiling as link
    on
        kernel.hardware_id = link.hardware_id
        and kernel.level = link.name
        and link.kind = 'bandwidth'
        and link.is_default
where kernel.level = 'dram' or link.value_per_s is not null
order by all
