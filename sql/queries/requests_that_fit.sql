-- How many requests of 8192 tokens fit in 8 GPUs beside gpt-oss-120b as published, and with how many are the experts compute-bound?
select
    hardware_id,
    tensor_parallel as devices,
    round(fixed_memory_bytes / 1e9, 1) as gigabytes_of_weights,
    round(sequence_memory_bytes / 1e9, 3) as gigabytes_a_request,
    largest_batch,
    mart.largest_batch(
        device_memory_bytes,
        fixed_memory_bytes,
        sequence_memory_bytes + sequence_activation_bytes,
        free_share := 0.1
    ) as largest_with_a_tenth_free,
    compute_bound_batch_by_op['expert_gate_up_proj'] as experts_compute_bound_from,
from mart.capacity
where
    model_id = 'gpt-oss-120b'
    and precision_id = 'mxfp4'
    and sequence_length = 8192
    and tensor_parallel = 8
    and hardware_id in ('a100-80gb-sxm', 'h100-sxm', 'h200-sxm', 'b200')
order by largest_batch
