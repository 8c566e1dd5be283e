-- one row per device and model: a decode step at batch 8 and context 1024, in bf16, on one device
select
    step.hardware_id,
    step.model_id,
    hardware.short_name as device,
    model.short_name as model,
    model.parameters,
    step.lower_bound_s * 1e3 as "least time, ms",
    step.tokens_per_s as "tokens/s at most",
    step.memory_bytes / 1e9 as "memory, GB",
    if(step.fits_in_memory, 'yes', 'no') as fits,
    step.bound,
    step.dominant_op_group as "dominant op group",
from mart.step_time as step
inner join core.hardware as hardware using (hardware_id)
inner join core.model as model using (model_id)
where
    step.convention = 'engine'
    and step.phase = 'decode'
    and step.precision_id = 'bf16'
    and step.batch_size = 8
    and step.sequence_length = 1024
    and step.tensor_parallel = 1
    and step.expert_parallel = 1
    and step.pipeline_parallel = 1
    and step.data_parallel = 1
-- rounded, because the order of a sum changes its last bits
order by step.lower_bound_s::float, step.hardware_id, step.model_id
