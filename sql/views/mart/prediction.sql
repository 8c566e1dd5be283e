-- one row per kernel that a calibration can predict: of an op shape at a precision, or of a measurement
create or replace view mart.prediction as
with
computed as (
    select
        null::varchar as measurement_id,
        hardware_id,
        model_id,
        convention,
        shape_id,
        precision_id,
        kind,
        dtype,
        m / matrices as rows,
        n,
        matrices,
        flops,
        bytes,
        lower_bound_s,
        bound,
        flops / peak_flops_per_s as compute_s,
        bytes / bandwidth_bytes_per_s as memory_s,
    from mart.roofline_point
    where level = 'dram'
),

measured as (
    select
        point.measurement_id,
        point.hardware_id,
        point.model_id,
        null::varchar as convention,
        null::bigint as shape_id,
        null::varchar as precision_id,
        point.kind,
        point.dtype,
        point.m / point.matrices as rows,
        point.n,
        point.matrices,
        point.flops,
        point.bytes,
        point.lower_bound_s,
        if(
            point.intensity_flops_per_byte >= point.ridge_flops_per_byte, 'compute', 'memory'
        ) as bound,
        point.flops / roof.peak_flops_per_s as compute_s,
        point.bytes / roof.bandwidth_bytes_per_s as memory_s,
    from mart.measured_point as point
    inner join mart.roof as roof using (hardware_id, dtype, basis)
    where point.level = 'dram'
),

kernel as (
    select * from computed
    union all by name
    select * from measured
),

-- from here on, formulas and names are those of flows/intensity/calibration.py
calibrated as (
    select
        kernel.*,
        calibration.* exclude (hardware_id, op_kind, dtype, origin, source_id),
        calibration.origin as calibration_origin,
        hardware.multiprocessors,
    from kernel
    inner join core.calibration as calibration
        on
            kernel.hardware_id = calibration.hardware_id
            and kernel.kind = calibration.op_kind
            and kernel.dtype = calibration.dtype
    inner join core.hardware as hardware
        on kernel.hardware_id = hardware.hardware_id
),

-- height and width of a tile; the number of tiles; their waves over the multiprocessors
tiled as (
    select
        *,
        if(tile_limit is null, [], [
            [256, 128], [128, 256], [128, 128], [128, 64], [64, 128], [64, 64], [64, 32], [32, 64]
        ])::double[][] as tiles,
        list_transform(tiles, lambda tile: ceil(rows / tile[1]) * ceil(n / tile[2])) as counts,
        list_transform(counts, lambda count: count * matrices / multiprocessors) as waves,
    from calibrated
),

costed as (
    select
        *,
        list_transform(tiles, lambda tile, i:
            counts[i] * tile[1] * tile[2] / (rows * n)
            * if(
                waves[i] >= 1,
                pow(ceil(waves[i]) / waves[i], wave_exponent),
                pow(waves[i], -partial_wave_exponent)
            )
            * (1 + tile_limit * (1 / tile[1] + 1 / tile[2]))
            / (1 + tile_limit * (1 / tiles[1][1] + 1 / tiles[1][2]))
        ) as tile_costs,
        list_min(tile_costs) as least_cost,
        coalesce(
            least_cost * pow(
                list_avg(list_transform(
                    tile_costs, lambda cost: pow(cost / least_cost, -least(tile_blend, 64))
                )),
                -1 / least(tile_blend, 64)
            ),
            1
        ) as tile_cost,
    from tiled
),

reached as (
    select
        *,
        memory_s / bandwidth_efficiency as reached_memory_s,
        compute_s / compute_efficiency * tile_cost
        * pow(1 + compute_s / 1e-3, coalesce(sustained_exponent, 0)) as reached_compute_s,
        greatest(reached_memory_s, reached_compute_s) as longer_s,
        overhead_s + longer_s * pow(
            pow(reached_compute_s / longer_s, least(blend, 64))
            + pow(reached_memory_s / longer_s, least(blend, 64)),
            1 / least(blend, 64)
        ) as predicted_s,
    from costed
)

select
    measurement_id,
    hardware_id,
    model_id,
    convention,
    shape_id,
    precision_id,
    predicted_s,
    flops / predicted_s as predicted_flops_per_s,
    lower_bound_s / predicted_s as roof_fraction,
    if(overhead_s >= 0.5 * predicted_s, 'overhead', bound) as bound,
    holdout_mape,
    transferred_from,
    calibration_origin,
from reached;

comment on view mart.prediction is 'one row per kernel that a calibration can predict: of an op shape at a precision (mart.predicted_point), or of a measurement (mart.prediction_error)';
comment on column mart.prediction.predicted_s is 'expected time of one execution, by the calibrated roof';
comment on column mart.prediction.predicted_flops_per_s is 'flops / expected time';
comment on column mart.prediction.roof_fraction is 'share of the roof that is reached: lower bound / latency';
comment on column mart.prediction.bound is 'overhead if the launch takes at least half of the time, by the calibration of the device; else compute at or right of the ridge, memory left of it';
comment on column mart.prediction.calibration_origin is 'measurements that the calibration was fitted to';
