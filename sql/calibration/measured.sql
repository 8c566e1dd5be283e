-- one row per measurement that a calibration is fitted to
select
    point.hardware_id,
    point.kind,
    point.dtype,
    point.pipe,
    point.model_id,
    point.op,
    point.m / point.matrices as rows,
    point.k,
    point.n,
    point.matrices,
    point.flops,
    point.bytes,
    point.latency_s,
    roof.peak_flops_per_s,
    roof.bandwidth_bytes_per_s,
    hardware.multiprocessors,
    point.source_id,
    point.source,
from mart.measured_point as point
inner join mart.roof as roof using (hardware_id, dtype, basis)
inner join core.hardware as hardware using (hardware_id)
where point.flops > 0 and point.level = 'dram'
order by all
