-- one row per model and device (the common ones): the fewest devices that hold the model in the precision that it is
-- published in, else in bf16, at context 1024, and what a decode step of one sequence takes there at least
with fitting as (
    select
        capacity.*,
        row_number() over (
            partition by capacity.hardware_id, capacity.model_id
            order by
                capacity.precision_id <> coalesce(model.published_precision, 'bf16'),
                capacity.largest_batch < 1,
                if(capacity.largest_batch < 1, -capacity.tensor_parallel, capacity.tensor_parallel)
        ) as place,
    from mart.capacity as capacity
    inner join core.model as model using (model_id)
    where
        capacity.precision_id in ('bf16', model.published_precision)
        and capacity.sequence_length = 1024
        and capacity.expert_parallel = 1
        and capacity.pipeline_parallel = 1
        and capacity.data_parallel = 1
        and capacity.hardware_id in ($common_devices)
)

select
    fitting.model_id,
    fitting.precision_id,
    fitting.tensor_parallel,
    fitting.largest_batch,
    fitting.compute_bound_batch,
    step.tokens_per_s,
    hardware.short_name as device,
    if(fitting.largest_batch < 1, 'more than ', '') || fitting.tensor_parallel as "devices needed",
    fitting.precision_id as "in",
    format('{:,.4g} of {:,.4g} GB', fitting.fixed_memory_bytes / 1e9, hardware.memory_bytes / 1e9) as "weights of memory, a device",
    nullif(fitting.largest_batch, 0) as "largest batch",
    coalesce(format('{:,}', fitting.compute_bound_batch), 'never') as "compute-bound from batch",
    if(fitting.largest_batch < 1, null, step.tokens_per_s) as "tokens/s of one sequence, at most",
from fitting
inner join core.hardware as hardware using (hardware_id)
left join (
    select *
    from mart.step_time
    where
        convention = 'engine'
        and phase = 'decode'
        and batch_size = 1
        and sequence_length = 1024
        and hardware_id in ($common_devices)
        and expert_parallel = 1
        and pipeline_parallel = 1
        and data_parallel = 1
) as step
    on
        fitting.hardware_id = step.hardware_id
        and fitting.model_id = step.model_id
        and fitting.precision_id = step.precision_id
        and fitting.tensor_parallel = step.tensor_parallel
where fitting.place = 1
order by fitting.model_id, fitting.largest_batch < 1, step.lower_bound_s::float nulls last, fitting.hardware_id
