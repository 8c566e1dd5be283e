-- one row per measured step of a device that is predicted
select
    hardware_id,
    precision_id,
    phase,
    tensor_parallel,
    launch,
    fusion,
    latency_s,
    predicted_s,
    predicted_s - host_wait_s + gap_s as device_s,
    kernels,
    source_id,
    source,
from mart.measured_step
where hardware_id = ? and predicted_s is not null
order by all
