-- one row per model, op and device (five of them): the fewest tokens at which the op is compute-bound in bf16
select
    crossover.model_id,
    crossover.op,
    hardware.short_name as device,
    coalesce(format('{:,}', crossover.critical_tokens), 'never') as "compute-bound from, tokens",
from mart.crossover as crossover
inner join core.hardware as hardware using (hardware_id)
where
    crossover.convention = 'engine'
    and crossover.precision_id = 'bf16'
    and crossover.tensor_parallel = 1
    and crossover.expert_parallel = 1
    and crossover.pipeline_parallel = 1
    and crossover.data_parallel = 1
    and crossover.hardware_id in ('a100-80gb-sxm', 'h100-sxm', 'h200-sxm', 'b200', 'mi300x')
order by crossover.model_id, crossover.critical_tokens is null, crossover.op, crossover.critical_tokens, crossover.hardware_id
