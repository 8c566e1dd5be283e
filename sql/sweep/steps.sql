-- one row per made-up device of a sweep and setting, as mart.sweep_step has it
select
    step.model_id,
    step.convention,
    step.precision_id,
    step.phase,
    step.batch_size,
    step.sequence_length,
    step.query_length,
    step.tensor_parallel,
    step.expert_parallel,
    step.pipeline_parallel,
    step.data_parallel,
    step.bandwidth_bytes_per_s,
    step.peak_flops_per_s,
    step.link_bytes_per_s,
    step.device_memory_bytes,
    step.tokens_per_s,
    if(step.covered_share >= 0.9, step.expected_tokens_per_s, null) as expected_tokens_per_s,
    step.bound,
    step.fits_in_memory,
    hardware.short_name as hardware,
    model.short_name as model,
    precision.compute_dtype as dtype,
from mart.sweep_step as step
inner join core.hardware as hardware using (hardware_id)
inner join core.model as model using (model_id)
inner join core.precision as precision using (precision_id)
where step.sweep_id = $sweep_id and step.is_made_up
order by step.device_number
