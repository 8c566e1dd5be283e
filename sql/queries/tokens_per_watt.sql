-- Which devices give the most decode tokens per second and watt for Llama 3 8B?
select
    step.hardware_id,
    round(step.tokens_per_s) as tokens_per_s,
    hardware.tdp_w,
    round(step.tokens_per_s / hardware.tdp_w, 2) as tokens_per_joule,
from mart.step_time as step
inner join core.hardware as hardware using (hardware_id)
where
    step.model_id = 'llama-3-8b'
    and step.convention = 'engine'
    and step.precision_id = 'bf16'
    and step.phase = 'decode'
    and step.batch_size = 8
    and step.sequence_length = 8192
    and step.tensor_parallel = 1
    and step.expert_parallel = 1
    and step.pipeline_parallel = 1
    and step.data_parallel = 1
    and step.fits_in_memory
    and hardware.tdp_w is not null
order by tokens_per_joule desc, hardware_id
limit 10
