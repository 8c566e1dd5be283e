-- one row per measurement that a calibration predicts
create or replace view mart.prediction_error as
with
kernel as (
    select
        point.*,
        point.m / point.matrices as rows,
        mart.serial_steps(point.kind, point.n, point.tensor_parallel, point.query_length, point.sequence_length)
            as serial_steps,
        point.flops / roof.peak_flops_per_s as compute_s,
        mart.ring_bytes(point.algorithm, point.bytes, point.tensor_parallel)
        / if(point.level = 'dram', roof.bandwidth_bytes_per_s, point.bandwidth_bytes_per_s) as memory_s,
    from mart.measured_point as point
    inner join mart.roof as roof using (hardware_id, dtype, basis)
    where point.level in ('dram', 'interconnect')
),

-- formulas and names are those of flows/intensity/calibration.py
calibrated as (
    select
        kernel.*,
        calibration.* exclude (hardware_id, op_kind, dtype, launch, origin, source_id, pipe),
        calibration.origin as calibration_origin,
        hardware.multiprocessors,
    from kernel
    inner join core.hardware as hardware
        on kernel.hardware_id = hardware.hardware_id
    inner join core.calibration as calibration
        on
            kernel.hardware_id = calibration.hardware_id
            and mart.calibrated_kind(kernel.kind, kernel.op, kernel.matrices, kernel.kv_heads, kernel.head_dim)
            = calibration.op_kind
            and kernel.dtype = calibration.dtype
            and kernel.launch = calibration.launch
),

costed as (
    select
        *,
        mart.tile_costs(
            rows,
            n,
            matrices,
            multiprocessors,
            compute_s / compute_efficiency,
            tile_limit,
            wave_exponent,
            partial_wave_exponent,
            tile_overhead_s
        ) as tile_costs,
        -- of what has no tiles, the rows that multiprocessors work through take the place of arithmetic
        if(
            tile_limit is null and tile_overhead_s is not null,
            rows / multiprocessors * tile_overhead_s,
            compute_s / compute_efficiency * mart.least_cost(tile_costs, tile_blend)
            * pow(1 + compute_s / 1e-3, coalesce(sustained_exponent, 0))
        ) as reached_compute_s,
        mart.reached_memory_s(memory_s, bandwidth_efficiency, bytes, cached_bytes, cached_cost)
        * mart.stream_cost(rows, n, matrices, multiprocessors, stream_limit, stream_exponent)
            as reached_memory_s,
        serial_steps * coalesce(serial_s, 0) as reached_serial_s,
        overhead_s
        + mart.blended_s(reached_compute_s, reached_memory_s, reached_serial_s, blend) as predicted_s,
    from calibrated
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
    dtype,
    m,
    k,
    n,
    batch_size,
    sequence_length,
    query_length,
    tensor_parallel,
    flops,
    bytes,
    intensity_flops_per_byte,
    latency_s,
    predicted_s,
    predicted_s / latency_s - 1 as relative_error,
    lower_bound_s,
    transferred_from,
    launch,
    if(
        overhead_s >= 0.5 * predicted_s,
        'overhead',
        if(intensity_flops_per_byte >= ridge_flops_per_byte, 'compute', 'memory')
    ) as predicted_bound,
    holdout_mape,
    calibration_origin,
from costed;

comment on view mart.prediction_error is 'one row per measurement that a calibration predicts: how far the prediction is off';
comment on column mart.prediction_error.predicted_s is 'expected time of one execution, by the calibrated roof';
comment on column mart.prediction_error.relative_error is 'predicted time / measured time - 1';
comment on column mart.prediction_error.predicted_bound is 'overhead if the launch takes at least half of the expected time; else compute at or right of the ridge, memory left of it';
comment on column mart.prediction_error.calibration_origin is 'measurements that the calibration was fitted to';
