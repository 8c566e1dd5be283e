-- one row per op and setting of a workload that lacks a shape, or a cost at a precision
with
asked as (
    select
        workload_id,
        unnest(phases) as phase,
        models,
        conventions,
        precisions,
        batch_sizes,
        sequence_lengths,
        list_transform(trees, lambda tree: list_sum(tree)::bigint) as tree_sizes,
        list_concat(candidates, tree_sizes) as candidates,
        query_lengths as chunks,
        tensor_parallel as tensor_parallels,
        expert_parallel as expert_parallels,
        pipeline_parallel as pipeline_parallels,
        data_parallel as data_parallels,
    from core.workload
),

queried as (
    select
        *,
        case phase
            when 'speculative' then candidates
            when 'decode' then [1]
            when 'mixed' then chunks
            when 'prefill' then nullif(chunks, [])
        end as query_lengths,
    from asked
),

setting as (
    select
        queried.workload_id,
        queried.phase,
        model.model_id,
        convention,
        precision_id,
        batch_size,
        sequence_length,
        coalesce(query_length, sequence_length) as query_length,
        t.tensor_parallel,
        e.expert_parallel,
        l.pipeline_parallel,
        d.data_parallel,
    from queried
    inner join core.model as model
        on queried.models is null or list_contains(queried.models, model.model_id)
    cross join unnest(queried.conventions) as c (convention)
    cross join unnest(queried.precisions) as p (precision_id)
    cross join unnest(queried.batch_sizes) as b (batch_size)
    cross join unnest(queried.sequence_lengths) as s (sequence_length)
    cross join unnest(coalesce(queried.query_lengths, [null])) as q (query_length)
    cross join unnest(queried.tensor_parallels) as t (tensor_parallel)
    cross join unnest(queried.expert_parallels) as e (expert_parallel)
    cross join unnest(queried.pipeline_parallels) as l (pipeline_parallel)
    cross join unnest(queried.data_parallels) as d (data_parallel)
    -- heads that cannot be split evenly are not shared, nor experts that a model lacks
    semi join core.model_shard as shard
        on
            model.model_id = shard.model_id
            and t.tensor_parallel = shard.tensor_parallel
            and e.expert_parallel = shard.expert_parallel
            and l.pipeline_parallel = shard.pipeline_parallel
            and d.data_parallel = shard.data_parallel
    -- few models have layers that predict further tokens
    where
        (convention <> 'draft' or model.mtp_parameters > 0)
        -- a chunk longer than the context, and a tree of more candidates, are left out
        and (
            query_length <= sequence_length
            or query_length is null
            or (queried.phase = 'speculative' and not list_contains(queried.tree_sizes, query_length))
        )
),

op as (
    select distinct
        model_id,
        convention,
        phase,
        tensor_parallel > 1 as is_shared,
        expert_parallel > 1 as is_spread,
        pipeline_parallel > 1 as is_staged,
        op,
    from core.op_shape
),

present as (
    select * from core.op_shape inner join core.op_cost using (shape_id)
)

select setting.*, op.op,
from setting
left join op
    on setting.model_id = op.model_id
    and setting.convention = op.convention
    and setting.phase = op.phase
    and (setting.tensor_parallel > 1) = op.is_shared
    and (setting.expert_parallel > 1) = op.is_spread
    and (setting.pipeline_parallel > 1) = op.is_staged
anti join present
    on setting.model_id = present.model_id
    and setting.convention = present.convention
    and setting.precision_id = present.precision_id
    and setting.phase = present.phase
    and setting.batch_size = present.batch_size
    and setting.sequence_length = present.sequence_length
    and setting.query_length = present.query_length
    and setting.tensor_parallel = present.tensor_parallel
    and setting.expert_parallel = present.expert_parallel
    and setting.pipeline_parallel = present.pipeline_parallel
    and setting.data_parallel = present.data_parallel
    and op.op = present.op
