-- one row per measurement of the user's on a device
select
    'measured' as layer,
    measured.hardware_id,
    measured.dtype,
    measured.level,
    measured.pipe,
    measured.accumulator,
    measured.op as ops,
    measured.op as name,
    measured.op_group,
    measured.phase,
    measured.batch_size,
    measured.sequence_length,
    measured.query_length,
    measured.flops,
    measured.bytes,
    measured.intensity_flops_per_byte,
    measured.achieved_flops_per_s as performance_flops_per_s,
    measured.latency_s,
    measured.lower_bound_s,
    measured.bound,
    measured.likely_cause,
    measured.source,
from mart.measured_point as measured
where
    measured.hardware_id = $hardware_id
    and measured.source_id not like 'shipped/%'
    and measured.op_group <> 'ceiling'
