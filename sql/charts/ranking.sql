-- one row per device: how fast it can decode at one setting, or why it cannot
with
step as (
    select *
    from mart.step_time
    where
        model_id = $model_id
        and precision_id = $precision_id
        and convention = $convention
        and phase = 'decode'
        and batch_size = $batch_size
        and sequence_length = $sequence_length
        and tensor_parallel = $tensor_parallel
        and expert_parallel = 1
        and pipeline_parallel = 1
        and data_parallel = 1
),

-- what no calibration covers would count at the roof: a step that is hardly covered is not expected to take so long
expected as (
    select
        hardware_id,
        round(tokens_per_s, 6) as expected_tokens_per_s,
        round(predicted_s * 1e3, 9) as expected_ms,
        transferred_from,
    from mart.predicted_step
    where
        model_id = $model_id
        and precision_id = $precision_id
        and convention = $convention
        and convention = 'engine'
        and phase = 'decode'
        and batch_size = $batch_size
        and sequence_length = $sequence_length
        and tensor_parallel = $tensor_parallel
        and expert_parallel = 1
        and pipeline_parallel = 1
        and data_parallel = 1
        and is_default_launch
        and fusion = 'engine'
        and covered_share >= 0.9
),

precision as (
    select * from core.precision where precision_id = $precision_id
),

-- all devices, unless some are named
asked as (
    select distinct unnest(coalesce($devices, (select list(hardware_id) from core.hardware))) as hardware_id
),

device as (
    select
        asked.hardware_id,
        coalesce(hardware.short_name, asked.hardware_id) as short_name,
        hardware.vendor,
        hardware.memory_bytes as device_memory_bytes,
        hardware.tdp_w,
        -- rounded, because the order of a sum changes its last bits
        round(step.tokens_per_s, 6) as tokens_per_s,
        round(step.lower_bound_s * 1e3, 9) as token_ms,
        round(step.tokens_per_s / hardware.tdp_w / $tensor_parallel, 9) as tokens_per_joule,
        step.memory_bytes,
        step.bound,
        expected.expected_tokens_per_s,
        expected.expected_ms,
        if(expected.expected_ms is null, null, 'expected') as estimate,
        expected.transferred_from,
        roof.dtype,
        roof.basis,
        case
            when step.fits_in_memory then 'fits'
            when step.hardware_id is not null then 'does not fit'
            when hardware.hardware_id is null then 'not known'
            when roof.dtype is not null and $tensor_parallel > 1 then 'no link'
            else 'no peak'
        end as status,
    from asked
    cross join precision
    left join core.hardware as hardware using (hardware_id)
    left join step using (hardware_id)
    left join expected using (hardware_id)
    left join mart.roof as roof
        on
            asked.hardware_id = roof.hardware_id
            and precision.compute_dtype = roof.dtype
            and roof.is_default
    where exists (from step)
)

select
    row_number() over (
        order by
            case device.status when 'fits' then 1 when 'does not fit' then 2 else 3 end,
            device.tokens_per_s desc,
            device.hardware_id
    ) as place,
    device.hardware_id,
    if($tensor_parallel > 1, format('{} × ', $tensor_parallel), '')
    || device.short_name
    || if(count(*) over (partition by device.short_name) > 1, ' (' || device.hardware_id || ')', '')
        as hardware,
    device.* exclude (hardware_id, short_name, dtype, basis),
    case device.status
        when 'fits' then format('{:,.0f}', device.tokens_per_s)
        when 'does not fit'
            then format(
                '{:,.0f} if it fit: {:,.1f} GB of {:g}',
                device.tokens_per_s,
                device.memory_bytes / 1e9,
                device.device_memory_bytes / 1e9
            )
        when 'not known' then 'not known here'
        when 'no link' then 'no link'
        else format('no {} peak', precision.compute_dtype)
    end as label,
    format('{:.2f}', device.tokens_per_joule) as efficiency_label,
    'decode' as phase,
    model.short_name as model,
    $precision_id as precision_id,
    $convention as convention,
    $batch_size as batch_size,
    $sequence_length as sequence_length,
    $tensor_parallel as tensor_parallel,
    precision.compute_dtype as dtype,
    device.basis,
from device
cross join precision
cross join (select * from core.model where model_id = $model_id) as model
order by place
