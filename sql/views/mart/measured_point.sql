-- one row per measurement
create or replace view mart.measured_point as
with
measurement as (
    select * from core.measurement
),

roof as (
    select * from mart.roof_by_level where is_default
),

placed as (
    select
        measurement.*,
        concat_ws(' ', measurement.op_group, phase.series_suffix) as series,
        roof.basis,
        roof.ridge_flops_per_byte,
        measurement.flops / measurement.bytes as intensity_flops_per_byte,
        measurement.flops / measurement.latency_s as achieved_flops_per_s,
        measurement.bytes / measurement.latency_s as achieved_bytes_per_s,
        mart.roof_flops_per_s(
            roof.peak_flops_per_s,
            roof.bandwidth_bytes_per_s,
            measurement.flops / measurement.bytes
        ) as attainable_flops_per_s,
        mart.roof_time_s(
            roof.peak_flops_per_s, roof.bandwidth_bytes_per_s, measurement.flops, measurement.bytes
        ) as lower_bound_s,
        calibration.overhead_s,
        hardware.l2_bytes,
        source.origin as source,
    from measurement
    -- a device may lack the dtype, or a published bandwidth of the level
    left join roof using (hardware_id, dtype, level)
    inner join core.hardware as hardware using (hardware_id)
    inner join core.source as source
        on measurement.source_id = source.source_id
    left join core.phase as phase using (phase)
    left join core.calibration as calibration
        on
            measurement.hardware_id = calibration.hardware_id
            and measurement.kind = calibration.op_kind
            and measurement.dtype = calibration.dtype
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
    lower_bound_s > latency_s as is_above_roof,
    case
        when is_above_roof is distinct from true then null
        when intensity_flops_per_byte >= ridge_flops_per_byte
            then 'another dtype or a sparse peak'
        when bytes <= l2_bytes then 'cache-resident: its bytes fit the L2 cache'
        else 'part of its bytes came from a cache'
    end as likely_cause,
    method,
    software,
    device_name,
    measured_at,
    source_id,
    source,
from placed;

comment on view mart.measured_point is 'one row per measurement: a measured kernel compared with the default roof of its dtype';
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
comment on column mart.measured_point.likely_cause is 'why it can lie above its roof; null if it does not';
comment on column mart.measured_point.source is 'who measured it, and how';
