-- one row per measurement and its prediction
select
    'measured' as layer,
    error.kind as label,
    error.op as ops,
    error.op_group,
    error.phase,
    error.dtype,
    error.m,
    error.k,
    error.n,
    error.batch_size,
    error.sequence_length,
    error.latency_s,
    error.predicted_s,
    error.relative_error,
    hardware.short_name as hardware,
from mart.prediction_error as error
inner join core.hardware as hardware using (hardware_id)
where error.hardware_id = $hardware_id
order by error.kind, error.dtype, error.flops, error.measurement_id
