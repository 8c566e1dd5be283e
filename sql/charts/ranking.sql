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
),

peak as (
    select ceiling.hardware_id, ceiling.basis,
    from core.ceiling as ceiling
    inner join core.precision as precision on ceiling.name = precision.compute_dtype
    where ceiling.kind = 'compute' and ceiling.is_default and precision.precision_id = $precision_id
),

device as (
    select
        hardware.hardware_id,
        hardware.short_name,
        hardware.vendor,
        hardware.memory_bytes as device_memory_bytes,
        hardware.tdp_w,
        -- rounded, because the order of a sum changes its last bits
        round(step.tokens_per_s, 6) as tokens_per_s,
        round(step.lower_bound_s * 1e3, 9) as token_ms,
        round(step.tokens_per_s / (hardware.tdp_w * $tensor_parallel), 9) as tokens_per_joule,
        step.memory_bytes,
        step.bound,
        case
            when peak.hardware_id is null then 'no peak'
            when step.hardware_id is null then 'no link'
            when step.fits_in_memory then 'fits'
            else 'does not fit'
        end as status,
        peak.basis,
    from core.hardware as hardware
    left join step using (hardware_id)
    left join peak using (hardware_id)
    where
        ($devices is null or list_contains($devices, hardware.hardware_id))
        and exists (from step)
)

select
    row_number() over (
        order by
            case device.status when 'fits' then 1 when 'does not fit' then 2 else 3 end,
            device.tokens_per_s desc,
            device.hardware_id
    ) as place,
    device.hardware_id,
    device.short_name
    || if(count(*) over (partition by device.short_name) > 1, ' (' || device.hardware_id || ')', '')
        as hardware,
    device.* exclude (hardware_id, short_name),
    case device.status
        when 'fits' then format('{:,.0f}', device.tokens_per_s)
        when 'does not fit'
            then format(
                '{:,.0f} if it fit: {:,.1f} GB of {:g}',
                device.tokens_per_s,
                device.memory_bytes / 1e9,
                device.device_memory_bytes / 1e9
            )
        when 'no link' then 'no link'
        else format('no {} peak', precision.compute_dtype)
    end as label,
    format('{:.2f}', device.tokens_per_joule) as efficiency_label,
    'decode' as phase,
    model.short_name as model,
    $precision_id as precision_id,
    $convention as convention,
    $tensor_parallel as tensor_parallel,
    $batch_size as batch_size,
    $sequence_length as sequence_length,
    precision.compute_dtype as dtype,
from device
cross join (select * from core.precision where precision_id = $precision_id) as precision
cross join (select * from core.model where model_id = $model_id) as model
order by place
