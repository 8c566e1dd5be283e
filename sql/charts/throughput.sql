-- one row per device, context and decode batch, up to the first batch that does not fit in the device's memory
with
step as (
    select
        step.hardware_id,
        if($tensor_parallel > 1, format('{} × ', $tensor_parallel), '') || hardware.short_name as hardware,
        step.phase,
        step.sequence_length,
        step.batch_size,
        -- rounded, because the order of a sum changes its last bits
        round(step.lower_bound_s * 1e3, 9) as token_ms,
        round(step.tokens_per_s, 6) as tokens_per_s,
        step.memory_bytes,
        hardware.memory_bytes as device_memory_bytes,
        step.fits_in_memory,
        step.bound,
        step.dominant_op_group,
    from mart.step_time as step
    inner join core.hardware as hardware using (hardware_id)
    where
        step.model_id = $model_id
        and step.precision_id = $precision_id
        and step.convention = $convention
        and step.phase = 'decode'
        and step.batch_size in $batch_sizes
        and step.sequence_length in $sequence_lengths
        and step.tensor_parallel = $tensor_parallel
        and step.hardware_id in $devices
    qualify
        step.fits_in_memory
        or step.batch_size = min(step.batch_size) filter (not step.fits_in_memory) over (
            partition by step.hardware_id, step.sequence_length
        )
)

select
    step.*,
    if(
        step.batch_size = min(step.batch_size) over (partition by step.sequence_length), 'batch ', ''
    ) || format('{:,}', step.batch_size) as label,
    -- the number of a batch stands at the fastest device
    row_number() over (
        partition by step.sequence_length, step.batch_size order by step.token_ms, step.hardware_id
    ) = 1 as is_fastest,
    model.short_name as model,
    $precision_id as precision_id,
    $convention as convention,
    $tensor_parallel as tensor_parallel,
    peak.name as dtype,
    peak.basis,
from step
inner join core.ceiling as peak using (hardware_id)
inner join core.precision as precision on peak.name = precision.compute_dtype
cross join (select * from core.model where model_id = $model_id) as model
where peak.kind = 'compute' and peak.is_default and precision.precision_id = $precision_id
order by step.sequence_length, step.hardware_id, step.batch_size
