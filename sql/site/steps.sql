-- one row per device and model: a step of decode at a batch of 8 and a context of 1024, on one device, in bf16
select
    step.hardware_id,
    step.model_id,
    hardware.short_name as device,
    model.short_name as model,
    format('{:.4g}', step.lower_bound_s * 1e3) as "least time, ms",
    format('{:.4g}', step.tokens_per_s) as "tokens/s at most",
    format('{:.4g}', step.memory_bytes / 1e9) as "memory, GB",
    if(step.fits_in_memory, 'yes', 'no') as fits,
    step.bound,
    step.dominant_op_group as "most of it",
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
-- sums of the same numbers can differ in their last bits
order by step.lower_bound_s::float, step.hardware_id, step.model_id
