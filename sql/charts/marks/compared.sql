-- one row per measured kernel of a model on a device, and one row per prediction of it by a calibrated roof
with
kernel as (
    select
        'measured' as layer,
        hardware_id,
        model_id,
        dtype,
        level,
        pipe,
        accumulator,
        measurement_id,
        series,
        op as ops,
        op_group,
        phase,
        batch_size,
        sequence_length,
        query_length,
        tensor_parallel,
        flops,
        bytes,
        intensity_flops_per_byte,
        achieved_flops_per_s as performance_flops_per_s,
        attainable_flops_per_s,
        latency_s,
        lower_bound_s,
        roof_fraction,
        bound,
        likely_cause,
        source,
    from mart.measured_point
    where
        hardware_id = $hardware_id
        and model_id = $model_id
        and dtype = (select compute_dtype from core.precision where precision_id = $precision_id)
        -- a GEMM is the same at all settings with equally many tokens, and is measured at one of them
        and if(
            kind = 'linear',
            m = $batch_size * if(phase = 'prefill', $sequence_length, 1),
            batch_size = $batch_size and sequence_length = $sequence_length
        )
        and tensor_parallel = $tensor_parallel
        and level = 'dram'
        and flops > 0
        and op_group <> 'ceiling'
),

expected as (
    select measurement_id, predicted_s, lower_bound_s / predicted_s as predicted_fraction
    from mart.prediction_error
    where hardware_id = $hardware_id and model_id = $model_id
)

select * exclude (measurement_id)
from kernel
union all by name
select
    kernel.* exclude (measurement_id)
    replace (
        'predicted' as layer,
        kernel.flops / expected.predicted_s as performance_flops_per_s,
        expected.predicted_s as latency_s,
        expected.predicted_fraction as roof_fraction
    ),
from kernel
inner join expected using (measurement_id)
