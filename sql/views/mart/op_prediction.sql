-- one row per hardware, op shape, precision and launch
create or replace view mart.op_prediction as
with
point as (
    select
        *,
        m / matrices as rows,
        mart.serial_steps(kind, n, tensor_parallel, query_length, sequence_length)
            as serial_steps,
        flops / peak_flops_per_s as compute_s,
        mart.ring_bytes(algorithm, bytes, tensor_parallel) / bandwidth_bytes_per_s as memory_s,
    from mart.roofline_point
    where level in ('dram', 'interconnect')
),

-- formulas and names are those of flows/intensity/calibration.py
calibrated as (
    select
        point.*,
        launch.launch,
        calibration.* exclude (hardware_id, op_kind, dtype, launch, origin, source_id, pipe),
        calibration.origin as calibration_origin,
        hardware.multiprocessors,
    from point
    cross join (values ('eager'), ('graph')) as launch (launch)
    inner join core.hardware as hardware
        on point.hardware_id = hardware.hardware_id
    left join core.calibration as calibration
        on
            point.hardware_id = calibration.hardware_id
            and mart.calibrated_kind(point.kind, point.op, point.matrices, point.kv_heads, point.head_dim)
            = calibration.op_kind
            and point.dtype = calibration.dtype
            and launch.launch = calibration.launch
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
    hardware_id,
    model_id,
    convention,
    precision_id,
    phase,
    batch_size,
    sequence_length,
    query_length,
    tensor_parallel,
    op,
    op_group,
    series,
    kind,
    dtype,
    shape_id,
    repeat,
    flops,
    bytes,
    intensity_flops_per_byte,
    attainable_flops_per_s,
    lower_bound_s,
    predicted_s,
    flops / predicted_s as predicted_flops_per_s,
    lower_bound_s / predicted_s as roof_fraction,
    if(overhead_s >= 0.5 * predicted_s, 'overhead', bound) as bound,
    holdout_mape,
    transferred_from,
    calibration_origin,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
    launch,
    level,
    idle_repeat,
    activation_bytes,
    kv_bytes,
    bandwidth_bytes_per_s,
    is_measured,
    m * k as input_elements,
from costed;

comment on view mart.op_prediction is 'one row per hardware, op shape, precision and launch: the expected time of a kernel; null if no calibration covers it';
comment on column mart.op_prediction.launch is 'how kernels are started: eager, by the program each time, or graph, replayed from a recorded graph';
comment on column mart.op_prediction.series is 'label of the op''s group and phase on charts';
comment on column mart.op_prediction.attainable_flops_per_s is 'performance at the roof: min(peak, intensity * bandwidth)';
comment on column mart.op_prediction.lower_bound_s is 'lower bound of the time of one execution: max(flops / peak, bytes / bandwidth)';
comment on column mart.op_prediction.predicted_s is 'expected time of one execution, by the calibrated roof';
comment on column mart.op_prediction.predicted_flops_per_s is 'flops / expected time';
comment on column mart.op_prediction.roof_fraction is 'share of the roof that is reached: lower bound / latency';
comment on column mart.op_prediction.bound is 'overhead if the launch takes at least half of the time, by the calibration of the device; else compute at or right of the ridge, memory left of it';
comment on column mart.op_prediction.calibration_origin is 'measurements that the calibration was fitted to';
comment on column mart.op_prediction.input_elements is 'elements of the inputs of a GEMM; null for what is none';
