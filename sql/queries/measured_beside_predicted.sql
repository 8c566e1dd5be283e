-- How much headroom does each op of Llama 7B have on an H100 at batch 8, measured and predicted?
select
    point.series,
    point.op,
    round(point.latency_s * 1e6, 1) as microseconds,
    round(error.predicted_s * 1e6, 1) as predicted_microseconds,
    round(point.lower_bound_s * 1e6, 1) as microseconds_at_the_roof,
    round(point.roof_fraction, 2) as roof_fraction,
    round(1 / point.roof_fraction, 1) as times_faster_at_the_roof,
from mart.measured_point as point
left join mart.prediction_error as error using (hardware_id, model_id, measurement_id)
where
    point.hardware_id = 'h100-sxm'
    and point.model_id = 'llama-7b'
    and point.dtype = 'fp16'
    -- a GEMM is the same at all settings with equally many tokens, and is measured at one of them
    and if(
        point.kind = 'linear',
        point.m = 8 * if(point.phase = 'prefill', 1024, 1),
        point.batch_size = 8 and point.sequence_length = 1024
    )
    and point.tensor_parallel = 1
order by point.lower_bound_s desc, point.op
