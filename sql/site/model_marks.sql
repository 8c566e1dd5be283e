-- one row per model, phase and op group: where its ops lie on the bf16 roof of an H100, at batch 8 and context 1024
select
    model_id,
    phase,
    op_group,
    sum(flops * repeat) / sum(bytes * repeat) as intensity_flops_per_byte,
    sum(flops * repeat) / sum(lower_bound_s * repeat) as attainable_flops_per_s,
from mart.roofline_point
where
    hardware_id = 'h100-sxm'
    and convention = 'engine'
    and precision_id = 'bf16'
    and batch_size = 8
    and sequence_length = 1024
    and phase in ('prefill', 'decode')
    and query_length in (1, 1024)
    and tensor_parallel = 1
    and expert_parallel = 1
    and pipeline_parallel = 1
    and data_parallel = 1
    and flops > 0
group by model_id, phase, op_group
order by model_id, phase, op_group
