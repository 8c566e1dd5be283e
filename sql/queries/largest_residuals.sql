-- For which measured kernels of an H100 is its calibrated roof furthest off?
select
    kind,
    dtype,
    op,
    phase,
    m,
    k,
    n,
    batch_size,
    sequence_length,
    round(latency_s * 1e6, 1) as microseconds,
    round(predicted_s * 1e6, 1) as predicted_microseconds,
    round(100 * relative_error, 1) as error_percent,
from mart.prediction_error
where hardware_id = 'h100-sxm'
order by abs(relative_error) desc, measurement_id
limit 10
