-- Which ops of Llama 3 8B are memory-bound when an L4 decodes 64 sequences, and by how much?
select
    op,
    round(intensity_flops_per_byte, 2) as intensity_flops_per_byte,
    round(ridge_flops_per_byte / intensity_flops_per_byte, 1) as times_below_the_ridge,
    round(lower_bound_s * repeat * 1e3, 3) as milliseconds_a_step,
from mart.roofline_point
where
    hardware_id = 'l4'
    and model_id = 'llama-3-8b'
    and convention = 'engine'
    and precision_id = 'fp16'
    and phase = 'decode'
    and batch_size = 64
    and sequence_length = 1024
    and tensor_parallel = 1
    and expert_parallel = 1
    and pipeline_parallel = 1
    and data_parallel = 1
    and bound = 'memory'
    and flops > 0
order by milliseconds_a_step desc, op
