-- kernels, each with the calibration of its kind and the time that it is expected to take; null if there is none.
-- Formulas and names are those of flows/intensity/calibration.py
create or replace macro mart.kernel_times(kernels) as table
with
calibrated as (
    select
        kernel.*,
        kernel.m / kernel.matrices as rows,
        mart.serial_steps(
            kernel.kind, kernel.n, kernel.tensor_parallel, kernel.query_length, kernel.sequence_length
        ) as serial_steps,
        kernel.flops / kernel.peak_flops_per_s as compute_s,
        mart.ring_bytes(kernel.algorithm, kernel.bytes, kernel.tensor_parallel)
        / kernel.bandwidth_bytes_per_s as memory_s,
        calibration.* exclude (hardware_id, op_kind, dtype, launch, origin, source_id, pipe),
        calibration.origin as calibration_origin,
        hardware.multiprocessors,
    from query_table(kernels) as kernel
    inner join core.hardware as hardware
        on kernel.hardware_id = hardware.hardware_id
    left join core.calibration as calibration
        on
            kernel.hardware_id = calibration.hardware_id
            and mart.calibrated_kind(kernel.kind, kernel.op, kernel.matrices, kernel.kv_heads, kernel.head_dim)
            = calibration.op_kind
            and kernel.dtype = calibration.dtype
            and kernel.launch = calibration.launch
),

-- one step after the other: a formula that stood in the next would be planned as often as it is mentioned there
tiled as (
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
    from calibrated
),

reached as (
    select
        *,
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
    from tiled
)

select
    *,
    overhead_s
    + mart.blended_s(reached_compute_s, reached_memory_s, reached_serial_s, blend) as predicted_s,
from reached;
