-- one row per measurement
create or replace view mart.measured_point as
with
bandwidth as (
    select
        hardware_id,
        name as level,
        value_per_s as bandwidth_bytes_per_s,
        reduces_in_switch,
        switch_devices,
    from core.ceiling
    where kind = 'bandwidth' and is_default
),

measurement as (
    select
        measurement.* exclude (bytes),
        bandwidth.bandwidth_bytes_per_s as default_bandwidth_bytes_per_s,
        mart.reduction(measurement.kind, bandwidth.reduces_in_switch) as algorithm,
        -- files count the ring of an all-reduce; one that does not say how many took part has no more than the switch joins
        if(
            algorithm = 'switch',
            mart.switch_bytes(
                measurement.bytes,
                coalesce(nullif(measurement.tensor_parallel, 1), bandwidth.switch_devices)
            ),
            measurement.bytes
        ) as bytes,
    from core.measurement as measurement
    -- a device may lack a published bandwidth of the level
    left join bandwidth using (hardware_id, level)
),

placed as (
    select
        measurement.* exclude (default_bandwidth_bytes_per_s),
        concat_ws(' ', measurement.op_group, phase.series_suffix) as series,
        roof.basis,
        roof.ridge_flops_per_byte,
        roof.peak_flops_per_s,
        coalesce(roof.bandwidth_bytes_per_s, measurement.default_bandwidth_bytes_per_s)
            as bandwidth_bytes_per_s,
        roof.pipe as ceiling_pipe,
        roof.accumulator as ceiling_accumulator,
        roof.ceiling_name,
        measurement.flops / measurement.bytes as intensity_flops_per_byte,
        measurement.flops / measurement.latency_s as achieved_flops_per_s,
        measurement.bytes / measurement.latency_s as achieved_bytes_per_s,
        mart.roof_flops_per_s(
            roof.peak_flops_per_s,
            roof.bandwidth_bytes_per_s,
            measurement.flops / measurement.bytes
        ) as attainable_flops_per_s,
        -- a kernel without arithmetic needs no peak
        if(
            measurement.flops = 0,
            measurement.bytes
            / coalesce(roof.bandwidth_bytes_per_s, measurement.default_bandwidth_bytes_per_s),
            mart.roof_time_s(
                roof.peak_flops_per_s,
                roof.bandwidth_bytes_per_s,
                measurement.flops,
                measurement.bytes
            )
        ) as lower_bound_s,
        calibration.overhead_s,
        hardware.l2_bytes,
        hardware.short_name,
        source.origin as source,
    from measurement
    -- a device may lack the dtype or the pipe
    left join (select * from mart.kernel_roof where is_default) as roof
        on
            measurement.hardware_id = roof.hardware_id
            and measurement.dtype = roof.dtype
            and measurement.level = roof.level
            and measurement.pipe = roof.kernel_pipe
            and measurement.accumulator = roof.kernel_accumulator
    inner join core.hardware as hardware
        on measurement.hardware_id = hardware.hardware_id
    inner join core.source as source
        on measurement.source_id = source.source_id
    left join core.phase as phase using (phase)
    left join core.calibration as calibration
        on
            measurement.hardware_id = calibration.hardware_id
            and mart.calibrated_kind(
                measurement.kind,
                measurement.op,
                measurement.matrices,
                measurement.kv_heads,
                measurement.head_dim
            )
            = calibration.op_kind
            and measurement.dtype = calibration.dtype
            and measurement.launch = calibration.launch
),

-- the slowest level of a kernel whose bytes were counted at several, if the bandwidth of each is known
compared as (
    select
        *,
        lower_bound_s > latency_s as is_above_roof,
        if(
            min(level) over kernel < max(level) over kernel
            and count(*) over kernel = count(lower_bound_s) over kernel,
            -- no level binds a kernel that is compute-bound at each
            arg_max(level, lower_bound_s) filter (
                where intensity_flops_per_byte < ridge_flops_per_byte or ridge_flops_per_byte is null
            ) over kernel,
            null
        ) as binding_level,
    from placed
    window kernel as (
        partition by source_id, hardware_id, op, latency_s, flops, batch_size, sequence_length
    )
),

-- published ceilings that a compute-bound kernel above its roof stays below
faster as (
    select
        point.measurement_id,
        arg_min(ceiling, ceiling.value_per_s) filter (ceiling.name = point.dtype) as same_dtype,
        arg_min(ceiling, ceiling.value_per_s) filter (ceiling.name <> point.dtype) as other_dtype,
    from compared as point
    inner join core.ceiling as ceiling
        on
            point.hardware_id = ceiling.hardware_id
            and ceiling.kind = 'compute'
            and ceiling.basis = 'datasheet'
            and point.achieved_flops_per_s <= ceiling.value_per_s
    where point.is_above_roof and point.achieved_flops_per_s > point.peak_flops_per_s
    group by point.measurement_id
)

select
    measurement_id,
    hardware_id,
    model_id,
    op,
    op_group,
    phase,
    series,
    kind,
    m,
    k,
    n,
    batch_size,
    sequence_length,
    query_length,
    heads,
    kv_heads,
    head_dim,
    matrices,
    tensor_parallel,
    dtype,
    level,
    basis,
    flops,
    bytes,
    latency_s,
    latency_min_s,
    latency_std_s,
    repeats,
    intensity_flops_per_byte,
    ridge_flops_per_byte,
    achieved_flops_per_s,
    achieved_bytes_per_s,
    attainable_flops_per_s,
    lower_bound_s,
    lower_bound_s / latency_s as roof_fraction,
    case
        when overhead_s >= 0.5 * latency_s then 'overhead'
        when ridge_flops_per_byte is null then null
        when intensity_flops_per_byte >= ridge_flops_per_byte then 'compute'
        else 'memory'
    end as bound,
    is_above_roof,
    case
        when is_above_roof is distinct from true then null
        -- the model in the device's name, e.g. H100, is not in the name that was reported
        when
            not contains(
                lower(device_name), lower(regexp_extract(short_name, '[A-Za-z]*[0-9]{2,}[A-Za-z]*'))
            )
            then format('wrong device: measured on {}', device_name)
        -- bytes that come from a cache lift no kernel above the compute ceiling; a copy may have none
        when coalesce(achieved_flops_per_s <= peak_flops_per_s, true) and level <> 'dram' then 'not known'
        when coalesce(achieved_flops_per_s <= peak_flops_per_s, true) and bytes <= l2_bytes
            then 'cache-resident: its bytes fit the L2 cache'
        when coalesce(achieved_flops_per_s <= peak_flops_per_s, true)
            then 'part of its bytes came from a cache'
        when same_dtype.pipe <> ceiling_pipe
            then mart.faster_ceiling('other pipe', same_dtype.pipe, same_dtype.value_per_s)
        when same_dtype.accumulator <> ceiling_accumulator
            then mart.faster_ceiling('other accumulator', same_dtype.accumulator, same_dtype.value_per_s)
        when
            achieved_flops_per_s <= 2 * peak_flops_per_s
            and ceiling_pipe in ('', 'tensor')
            and dtype in ('tf32', 'fp16', 'bf16', 'fp8', 'fp6', 'fp4', 'int8', 'int4')
            then concat_ws(', or ', 'sparse', mart.faster_ceiling('wrong dtype', other_dtype.name, other_dtype.value_per_s))
        else coalesce(
            mart.faster_ceiling('wrong dtype', other_dtype.name, other_dtype.value_per_s), 'not known'
        )
    end as likely_cause,
    method,
    software,
    device_name,
    measured_at,
    source_id,
    source,
    pipe,
    accumulator,
    ceiling_name,
    peak_flops_per_s,
    bandwidth_bytes_per_s,
    achieved_bytes_per_s / bandwidth_bytes_per_s as bandwidth_fraction,
    binding_level,
    is_ceiling,
    algorithm,
    launch,
    shape_mismatch,
    rank,
    covered_share,
    coverage,
from compared
left join faster using (measurement_id);

comment on view mart.measured_point is 'one row per measurement: a measured kernel compared with the roof of its dtype, pipe, accumulator and level';
comment on column mart.measured_point.algorithm is 'of an all-reduce: switch if the switch of the interconnect adds, so that each byte is sent once, else ring; null for what is none';
comment on column mart.measured_point.series is 'label of the op''s group and phase on charts';
comment on column mart.measured_point.kind is 'formula of its cost, as in core.op_shape; or copy or triad, which measure the bandwidth';
comment on column mart.measured_point.method is 'clock and conditions: cuda-event, graph, wall clock, cold or warm caches';
comment on column mart.measured_point.intensity_flops_per_byte is 'operational intensity: flops / bytes';
comment on column mart.measured_point.achieved_flops_per_s is 'flops / latency';
comment on column mart.measured_point.achieved_bytes_per_s is 'bytes / latency';
comment on column mart.measured_point.attainable_flops_per_s is 'performance at the roof: min(peak, intensity * bandwidth)';
comment on column mart.measured_point.lower_bound_s is 'lower bound of the time of one execution: max(flops / peak, bytes / bandwidth)';
comment on column mart.measured_point.roof_fraction is 'share of the roof that is reached: lower bound / latency';
comment on column mart.measured_point.bound is 'overhead if the launch takes at least half of the time, by the calibration of the device; else compute at or right of the ridge, memory left of it';
comment on column mart.measured_point.is_above_roof is 'whether it took less than the lower bound; such points are kept; null if no roof is known';
comment on column mart.measured_point.likely_cause is 'why it can lie above its roof, or ''not known''; null if it does not';
comment on column mart.measured_point.bandwidth_bytes_per_s is 'bandwidth ceiling: of DRAM unless another level is named';
comment on column mart.measured_point.bandwidth_fraction is 'share of the bandwidth that is reached; null if the bandwidth is not known';
comment on column mart.measured_point.binding_level is 'the level that binds, if the bytes of the kernel were counted at several: it needs the most time at the roof; null if the bandwidth of one is not known, or compute binds';
comment on column mart.measured_point.source is 'who measured it, and how';
