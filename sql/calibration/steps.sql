-- one row per measured step of a device that is predicted
select
    hardware_id,
    measured_step.model_id,
    model.num_experts is null as is_dense,
    precision_id,
    phase,
    tensor_parallel,
    launch,
    fusion,
    latency_s,
    predicted_s - host_wait_s as device_s,
    kernels,
    measured_step.source_id,
    source,
from mart.measured_step as measured_step
inner join core.model as model using (model_id)
where hardware_id = $hardware_id and predicted_s is not null
order by all
