-- one row per device, model (three of them) and op that can be compute-bound in bf16: the fewest tokens at which it is
select
    crossover.hardware_id,
    model.short_name as model,
    crossover.op,
    crossover.critical_tokens as "compute-bound from, tokens",
from mart.crossover as crossover
inner join core.model as model using (model_id)
where
    crossover.convention = 'engine'
    and crossover.precision_id = 'bf16'
    and crossover.tensor_parallel = 1
    and crossover.expert_parallel = 1
    and crossover.pipeline_parallel = 1
    and crossover.data_parallel = 1
    and crossover.model_id in ('llama-3-8b', 'llama-3-70b', 'mixtral-8x7b')
    and crossover.critical_tokens is not null
order by crossover.hardware_id, crossover.model_id, crossover.critical_tokens, crossover.op
