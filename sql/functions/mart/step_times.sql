-- op groups, added up to whole steps at the roof, one op after the other, with the memory that one device holds. Columns of
-- mart.op_group_times that are not named here are keys; memory is null if no workload shares the model so
create or replace macro mart.step_times(groups) as table
with
step as (
    select
        * exclude (
            op_group, ops, flops, bytes, interconnect_bytes, lower_bound_s, memory_s, compute_s, interconnect_s,
            live_bytes, bubble_s
        ),
        sum(flops) as flops,
        sum(bytes) as bytes,
        sum(interconnect_bytes) as interconnect_bytes,
        greatest(sum(group_time.bubble_s), 0) as bubble_s,
        sum(group_time.lower_bound_s) + greatest(sum(group_time.bubble_s), 0) as lower_bound_s,
        sum(memory_s) as memory_s,
        sum(compute_s) as compute_s,
        sum(interconnect_s) as interconnect_s,
        arg_max(op_group, group_time.lower_bound_s) as dominant_op_group,
        max(group_time.lower_bound_s) / sum(group_time.lower_bound_s) as dominant_share,
        max(live_bytes) as live_bytes,
    from query_table(groups) as group_time
    group by all
),

held as (
    select
        step.*,
        (step.batch_size + step.data_parallel - 1) // step.data_parallel as batch_share,
        -- a mixed step keeps the sequence of its chunk, too
        if(step.phase = 'mixed', batch_share + 1, batch_share) as sequences,
        case step.phase
            when 'mixed' then batch_share + step.query_length
            else batch_share * step.query_length
        end as step_rows,
        held_weights.weight_bytes as weight_memory_bytes,
        sequences
        * mart.kv_memory_bytes(
            shard, model.sliding_window, step.sequence_length, precision.kv_bits
        ) as kv_memory_bytes,
        sequences
        * mart.indexer_memory_bytes(shard, step.sequence_length, precision.kv_bits)
            as indexer_memory_bytes,
        sequences
        * mart.state_memory_bytes(shard, precision.state_bits, precision.activation_bits)
            as state_memory_bytes,
        -- what the largest op reads and writes, and the residual stream beside it
        step.live_bytes
        + step_rows * model.hidden_size * precision.residual_bits / 8
            as activation_memory_bytes,
        -- each device holds the towers in full
        held_weights.tower_bytes as tower_memory_bytes,
        step.sequence_length > model.max_positions as exceeds_max_positions,
    from step
    inner join core.model as model using (model_id)
    inner join core.precision as precision using (precision_id)
    left join core.model_shard as shard
        using (model_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel)
    left join core.weight_memory as held_weights using (
        model_id, precision_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel
    )
    -- devices that share a model need a link between them
    where
        step.tensor_parallel * step.expert_parallel * step.pipeline_parallel = 1
        or step.interconnect_s > 0
        or step.convention <> 'engine'
)

select
    * exclude (batch_share, sequences, step_rows, live_bytes),
    mart.step_tokens(phase, batch_size, query_length) / lower_bound_s as tokens_per_s,
    weight_memory_bytes + tower_memory_bytes + kv_memory_bytes + indexer_memory_bytes
    + state_memory_bytes as memory_bytes,
    case greatest(memory_s, compute_s, interconnect_s)
        when memory_s then 'memory'
        when compute_s then 'compute'
        else 'interconnect'
    end as bound,
from held;
