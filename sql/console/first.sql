-- one row per op of a decode step of Llama 3 8B on an H100: its place on the roofline
select
    hardware_id,
    op as label,
    intensity_flops_per_byte,
    attainable_flops_per_s as performance_flops_per_s,
    bound,
    lower_bound_s,
from mart.roofline_point
where
    hardware_id = 'h100-sxm'
    and model_id = 'llama-3-8b'
    and convention = 'engine'
    and precision_id = 'bf16'
    and phase = 'decode'
    and batch_size = 8
    and sequence_length = 1024
    and tensor_parallel = 1
order by lower_bound_s * repeat desc, label
