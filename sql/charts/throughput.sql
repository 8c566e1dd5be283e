-- one row per device, context and decode batch, up to the first batch that does not fit; one per device without any
with
precision as (
    select * from core.precision where precision_id = $precision_id
),

device as (
    select
        asked.hardware_id,
        if($tensor_parallel > 1, format('{} × ', $tensor_parallel), '')
        || hardware.short_name
        || if(count(*) over (partition by hardware.short_name) > 1, format(' ({})', asked.hardware_id), '')
            as short_name,
        hardware.memory_bytes as device_memory_bytes,
        roof.dtype as roof_dtype,
        roof.basis,
    from (select distinct unnest($devices) as hardware_id) as asked
    cross join precision
    left join core.hardware as hardware using (hardware_id)
    left join mart.roof as roof
        on asked.hardware_id = roof.hardware_id and precision.compute_dtype = roof.dtype and roof.is_default
),

step as (
    select
        hardware_id,
        phase,
        sequence_length,
        batch_size,
        -- rounded, because the order of a sum changes its last bits
        round(lower_bound_s * 1e3, 9) as token_ms,
        round(tokens_per_s, 6) as tokens_per_s,
        memory_bytes,
        fits_in_memory,
        bound,
        dominant_op_group,
    from mart.step_time
    where
        model_id = $model_id
        and precision_id = $precision_id
        and convention = $convention
        and phase = 'decode'
        and batch_size in $batch_sizes
        and sequence_length in $sequence_lengths
        and tensor_parallel = $tensor_parallel
        and expert_parallel = 1
        and pipeline_parallel = 1
        and data_parallel = 1
        and hardware_id in $devices
    qualify
        fits_in_memory
        or batch_size = min(batch_size) filter (not fits_in_memory) over (partition by hardware_id, sequence_length)
),

-- what no calibration covers would count at the roof: a step that is hardly covered is not expected to take so long
expected as (
    select
        hardware_id,
        batch_size,
        sequence_length,
        round(predicted_s * 1e3, 9) as expected_ms,
        round(tokens_per_s, 6) as expected_tokens_per_s,
    from mart.predicted_step
    where
        model_id = $model_id
        and precision_id = $precision_id
        and convention = $convention
        and convention = 'engine'
        and phase = 'decode'
        and hardware_id in $devices
        and batch_size in $batch_sizes
        and sequence_length in $sequence_lengths
        and tensor_parallel = $tensor_parallel
        and expert_parallel = 1
        and pipeline_parallel = 1
        and data_parallel = 1
        and is_default_launch
        and fusion = 'engine'
        and covered_share >= 0.9
)

select
    device.hardware_id,
    coalesce(device.short_name, device.hardware_id) as hardware,
    case
        when step.hardware_id is not null then 'drawn'
        when device.short_name is null then 'not known here'
        when device.roof_dtype is null then format('no {} peak', precision.compute_dtype)
        when $tensor_parallel > 1 then 'no link'
        else 'not at these settings'
    end as status,
    step.* exclude (hardware_id),
    device.device_memory_bytes,
    if(
        step.batch_size = min(step.batch_size) over (partition by step.sequence_length), 'batch ', ''
    ) || format('{:,}', step.batch_size) as label,
    -- the number of a batch stands at the fastest device
    step.batch_size is not null
    and row_number() over (
        partition by step.sequence_length, step.batch_size order by step.token_ms, step.hardware_id
    ) = 1 as is_fastest,
    bool_or(step.fits_in_memory) over (partition by step.hardware_id, step.sequence_length) as has_room,
    model.short_name as model,
    $precision_id as precision_id,
    $convention as convention,
    $tensor_parallel as tensor_parallel,
    precision.compute_dtype as dtype,
    device.basis,
    expected.expected_ms,
    expected.expected_tokens_per_s,
    if(expected.expected_ms is null, null, 'expected') as estimate,
from device
cross join precision
cross join (select * from core.model where model_id = $model_id) as model
left join step using (hardware_id)
left join expected
    on
        step.hardware_id = expected.hardware_id
        and step.batch_size = expected.batch_size
        and step.sequence_length = expected.sequence_length
where exists (from step)
order by step.sequence_length, device.hardware_id, step.batch_size
