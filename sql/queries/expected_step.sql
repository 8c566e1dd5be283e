-- How long are the GEMMs of a decode step of Llama 3 8B expected to take on an A6000, which nobody measured?
select
    batch_size,
    round(sum(lower_bound_s * repeat) * 1e3, 2) as milliseconds_at_the_roof,
    round(sum(predicted_s * repeat) * 1e3, 2) as milliseconds_expected,
    any_value(transferred_from) as measured_on,
    round(100 * any_value(holdout_mape), 1) as percent_error,
from mart.predicted_point
where
    hardware_id = 'a6000'
    and model_id = 'llama-3-8b'
    and convention = 'engine'
    and precision_id = 'fp16'
    and phase = 'decode'
    and kind = 'linear'
    and sequence_length = 1024
    and tensor_parallel = 1
    and expert_parallel = 1
    and pipeline_parallel = 1
    and data_parallel = 1
group by batch_size
order by batch_size
