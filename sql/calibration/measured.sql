-- one row per measurement that a calibration is fitted to
select
    point.hardware_id,
    mart.calibrated_kind(point.kind, point.op, point.matrices, point.kv_heads, point.head_dim)
        as kind,
    point.dtype,
    point.launch,
    point.pipe,
    point.model_id,
    point.op,
    point.m / point.matrices as rows,
    point.k,
    point.n,
    point.matrices,
    point.flops,
    mart.ring_bytes(point.algorithm, point.bytes, point.tensor_parallel) as bytes,
    mart.serial_steps(
        point.kind, point.n, point.tensor_parallel, point.query_length, point.sequence_length
    ) as serial_steps,
    -- one pass over a tensor; RoPE of plain PyTorch is many
    point.op_group = 'elementwise'
    and point.kind not in (
        'norm', 'rms_norm', 'layer_norm', 'softmax', 'add_rms_norm', 'expert_sum', 'gather', 'rope_unfused'
    ) as is_elementwise,
    point.latency_s,
    roof.peak_flops_per_s,
    if(point.level = 'dram', roof.bandwidth_bytes_per_s, point.bandwidth_bytes_per_s)
        as bandwidth_bytes_per_s,
    hardware.multiprocessors,
    point.source_id,
    point.source,
from mart.measured_point as point
inner join mart.roof as roof using (hardware_id, dtype, basis)
inner join core.hardware as hardware using (hardware_id)
where point.kind not in ('copy', 'triad') and point.level in ('dram', 'interconnect')
order by all
