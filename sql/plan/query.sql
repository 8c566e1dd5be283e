-- ways to serve {model} with {profile}: expected times of steps, and what follows from them
with
step as (
    select
        hardware_id,
        precision_id,
        tensor_parallel,
        expert_parallel,
        pipeline_parallel,
        data_parallel,
        role,
        unnest(batches) as batch_size,
        unnest(seconds) as step_s,
        1e6 * unnest(megabytes) as memory_bytes,
        unnest(sending) as send_s,
        covered_share,
        transferred_from,
    from (
        values
{steps}
    ) as given (
        hardware_id, precision_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel,
        role, batches, seconds, megabytes, sending, covered_share, transferred_from
    )
),

held as (
    select
        given.*,
        given.tensor_parallel * given.pipeline_parallel * given.data_parallel as group_devices,
        mart.sharing_label(
            given.tensor_parallel, given.expert_parallel, given.pipeline_parallel, given.data_parallel
        ) as sharing,
        hardware.memory_bytes as device_memory_bytes,
        hardware.tdp_w,
        hardware.dollars_per_hour,
    from step as given
    inner join core.hardware as hardware using (hardware_id)
    where mart.fits_in_memory(given.memory_bytes, hardware.memory_bytes, free_share := {free_share})
),

-- the devices of prompts that meet the limit with the most requests a second, or else the fastest
prefill as (
    select
        *,
        step_s + send_s as first_s,
        first_s <= {ttft} as meets_ttft,
    from held
    where role = 'prefill' and send_s is not null
    qualify row_number() over (
        partition by hardware_id, precision_id
        order by
            meets_ttft desc,
            if(meets_ttft, batch_size / step_s / group_devices, -first_s) desc,
            group_devices
    ) = 1
),

ratio as (
    select x.prefill_groups, y.decode_groups,
    from range(1, 9) as x (prefill_groups)
    cross join range(1, 9) as y (decode_groups)
    where gcd(x.prefill_groups, y.decode_groups) = 1
),

served as (
    select
        'interleaved' as mode,
        mixed.* exclude (role, step_s, send_s, covered_share),
        mixed.group_devices as devices,
        mixed.sharing as decode_sharing,
        alone.step_s as ttft_s,
        mixed.step_s / {tokens_per_step} as tpot_s,
        mixed.batch_size / tpot_s / mixed.group_devices as tokens_per_s_per_device,
        least(mixed.covered_share, alone.covered_share) as covered_share,
    from held as mixed
    inner join held as alone
        using (
            hardware_id, precision_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel
        )
    where mixed.role = 'mixed' and alone.role = 'prefill' and alone.batch_size = 1
    union all by name
    select
        'disaggregated' as mode,
        decode.* exclude (role, step_s, send_s, covered_share)
        replace (
            greatest(decode.memory_bytes, prefill.memory_bytes) as memory_bytes,
            format(
                '{}x {} : {}x {}', ratio.prefill_groups, prefill.sharing, ratio.decode_groups, decode.sharing
            ) as sharing
        ),
        ratio.prefill_groups * prefill.group_devices + ratio.decode_groups * decode.group_devices as devices,
        decode.sharing as decode_sharing,
        prefill.first_s as ttft_s,
        decode.step_s / {tokens_per_step} as tpot_s,
        least(
            ratio.prefill_groups * prefill.batch_size / prefill.step_s * {output},
            ratio.decode_groups * decode.batch_size / tpot_s
        ) / (ratio.prefill_groups * prefill.group_devices + ratio.decode_groups * decode.group_devices)
            as tokens_per_s_per_device,
        least(decode.covered_share, prefill.covered_share) as covered_share,
    from held as decode
    inner join prefill using (hardware_id, precision_id)
    cross join ratio
    where decode.role = 'decode'
    qualify row_number() over (
        partition by decode.hardware_id, decode.precision_id, decode.sharing, decode.batch_size
        order by tokens_per_s_per_device desc, devices
    ) = 1
),

way as (
    select
        mode,
        hardware_id,
        devices,
        precision_id,
        sharing,
        decode_sharing,
        batch_size,
        ttft_s,
        tpot_s,
        tokens_per_s_per_device,
        -- requests that meet both limits
        if(ttft_s <= {ttft} and tpot_s <= {tpot}, tokens_per_s_per_device / {output}, 0)
            as goodput_per_s_per_device,
        3600 * tokens_per_s_per_device / dollars_per_hour as tokens_per_dollar,
        tokens_per_s_per_device / tdp_w as tokens_per_joule,
        memory_bytes,
        device_memory_bytes,
        covered_share,
        transferred_from,
        ttft_s <= {ttft} as meets_ttft,
        tpot_s <= {tpot} as meets_tpot,
    from served
)

select
    hardware_id,
    devices,
    sharing,
    batch_size,
    mode,
    precision_id,
{origin}
    round(memory_bytes / 1e9, 1) as memory_gb,
    round(goodput_per_s_per_device, 4) as goodput_per_s,
{rate}
    round(ttft_s, 3) as ttft_s,
    round(tpot_s, 5) as tpot_s,
    round(tokens_per_s_per_device, 1) as device_tokens_per_s,
from way
{which}
