-- one row per hardware, op shape and precision, where a calibration exists
create or replace view mart.predicted_point as
with
point as (
    select
        *,
        flops / peak_flops_per_s as compute_s,
        bytes / bandwidth_bytes_per_s as memory_s,
    from mart.roofline_point
    where level = 'dram'
),

-- as in flows/intensity/calibration.py, whose words these are
tiled as (
    select
        point.*,
        calibration.* exclude (hardware_id, op_kind, dtype, origin, source_id),
        calibration.origin as calibration_origin,
        if(calibration.tile_limit is null, [1.0], list_transform(
            [
                [256, 128], [128, 256], [128, 128], [128, 64], [64, 128], [64, 64], [64, 32], [32, 64]
            ]::double[][],
            lambda tile: (
                ceil(point.m / point.matrices / tile[1]) * tile[1] / (point.m / point.matrices)
                * ceil(point.n / tile[2]) * tile[2] / point.n
                * (1 + calibration.tile_limit * (tile[1] + tile[2]) / (tile[1] * tile[2]))
                / (1 + calibration.tile_limit / (256 * 128 / (256.0 + 128)))
                * if(
                    ceil(point.m / point.matrices / tile[1]) * ceil(point.n / tile[2])
                    * point.matrices >= hardware.multiprocessors,
                    pow(
                        ceil(
                            ceil(point.m / point.matrices / tile[1]) * ceil(point.n / tile[2])
                            * point.matrices / hardware.multiprocessors
                        )
                        / (
                            ceil(point.m / point.matrices / tile[1]) * ceil(point.n / tile[2])
                            * point.matrices / hardware.multiprocessors
                        ),
                        calibration.wave_exponent
                    ),
                    pow(
                        ceil(point.m / point.matrices / tile[1]) * ceil(point.n / tile[2])
                        * point.matrices / hardware.multiprocessors,
                        -calibration.partial_wave_exponent
                    )
                )
            )
        )) as tile_costs,
    from point
    inner join core.calibration as calibration
        on
            point.hardware_id = calibration.hardware_id
            and point.kind = calibration.op_kind
            and point.dtype = calibration.dtype
    inner join core.hardware as hardware
        on point.hardware_id = hardware.hardware_id
),

reached as (
    select
        *,
        memory_s / bandwidth_efficiency as reached_memory_s,
        compute_s / compute_efficiency
        * list_min(tile_costs)
        * pow(
            list_avg(list_transform(
                tile_costs,
                lambda cost: pow(cost / list_min(tile_costs), -least(coalesce(tile_blend, 1), 64))
            )),
            -1 / least(coalesce(tile_blend, 1), 64)
        )
        * pow(1 + compute_s / 1e-3, coalesce(sustained_exponent, 0)) as reached_compute_s,
        greatest(reached_memory_s, reached_compute_s) as longer_s,
        overhead_s + longer_s * pow(
            pow(reached_compute_s / longer_s, least(blend, 64))
            + pow(reached_memory_s / longer_s, least(blend, 64)),
            1 / least(blend, 64)
        ) as predicted_s,
    from tiled
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
    case
        when overhead_s >= 0.5 * predicted_s then 'overhead'
        else bound
    end as bound,
    holdout_mape,
    transferred_from,
    calibration_origin,
from reached;

comment on view mart.predicted_point is 'one row per hardware, op shape and precision, where a calibration exists: the time that a kernel is expected to take';
comment on column mart.predicted_point.predicted_s is 'expected time of one execution, by the calibrated roof';
comment on column mart.predicted_point.predicted_flops_per_s is 'flops / expected time';
comment on column mart.predicted_point.roof_fraction is 'share of the roof that is reached: least time / latency';
comment on column mart.predicted_point.bound is 'overhead where launching takes at least half of the time, by the calibration of the device; else compute at or right of the ridge, memory left of it';
comment on column mart.predicted_point.calibration_origin is 'measurements that the calibration was fitted to';
