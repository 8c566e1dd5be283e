-- How many experts does a batch hit, and from how many tokens on are they compute-bound on an H100?
select
    shape.model_id,
    shape.batch_size,
    shape.experts,
    round(shape.matrices, 1) as experts_hit,
    crossover.critical_tokens,
from core.op_shape as shape
inner join mart.crossover as crossover using (
    model_id, convention, tensor_parallel, op, expert_parallel, pipeline_parallel, data_parallel
)
where
    shape.op = 'expert_gate_up_proj'
    and shape.phase = 'decode'
    and shape.sequence_length = 1024
    and shape.tensor_parallel = 1
    and shape.expert_parallel = 1
    and shape.pipeline_parallel = 1
    and shape.data_parallel = 1
    and crossover.hardware_id = 'h100-sxm'
    and crossover.precision_id = 'bf16'
order by shape.model_id, shape.batch_size
