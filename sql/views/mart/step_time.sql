-- one row per hardware, model, convention, precision, phase, setting and sharing
create or replace view mart.step_time as
with
step as (
    select
        hardware_id,
        model_id,
        convention,
        precision_id,
        phase,
        batch_size,
        sequence_length,
        query_length,
        tensor_parallel,
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
        expert_parallel,
        pipeline_parallel,
        data_parallel,
        (batch_size + data_parallel - 1) // data_parallel as batch_share,
    from mart.op_group_time as group_time
    group by all
),

held as (
    select
        step.*,
        -- a mixed step keeps the sequence of its chunk, too
        if(step.phase = 'mixed', step.batch_share + 1, step.batch_share) as sequences,
        case step.phase
            when 'prefill' then step.batch_size * step.query_length
            when 'mixed' then step.batch_size + step.query_length
            else step.batch_size
        end as tokens,
        case step.phase
            when 'mixed' then step.batch_share + step.query_length
            else step.batch_share * step.query_length
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
        hardware.memory_bytes as device_memory_bytes,
    from step
    inner join core.model as model using (model_id)
    inner join core.model_shard as shard
        using (model_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel)
    inner join core.weight_memory as held_weights using (
        model_id, precision_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel
    )
    inner join core.precision as precision using (precision_id)
    inner join core.hardware as hardware using (hardware_id)
    -- devices that share a model need a link between them
    where
        step.tensor_parallel * step.expert_parallel * step.pipeline_parallel = 1
        or step.interconnect_s > 0
        or step.convention <> 'engine'
)

select
    hardware_id,
    model_id,
    convention,
    precision_id,
    phase,
    batch_size,
    sequence_length,
    query_length,
    tensor_parallel,
    flops,
    bytes,
    interconnect_bytes,
    lower_bound_s,
    tokens / lower_bound_s as tokens_per_s,
    weight_memory_bytes,
    kv_memory_bytes,
    weight_memory_bytes + tower_memory_bytes + kv_memory_bytes + indexer_memory_bytes
    + state_memory_bytes as memory_bytes,
    mart.fits_in_memory(memory_bytes, device_memory_bytes) as fits_in_memory,
    dominant_op_group,
    dominant_share,
    memory_s,
    compute_s,
    interconnect_s,
    case greatest(memory_s, compute_s, interconnect_s)
        when memory_s then 'memory'
        when compute_s then 'compute'
        else 'interconnect'
    end as bound,
    state_memory_bytes,
    indexer_memory_bytes,
    tower_memory_bytes,
    exceeds_max_positions,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
    activation_memory_bytes,
    device_memory_bytes,
    bubble_s,
from held;

comment on view mart.step_time is 'one row per hardware, model, convention, precision, phase, setting and sharing: a whole step of the model at the roof, one op after the other; the engine convention includes every op, the others only those that they count';
comment on column mart.step_time.model_id is 'the model, by the name of its config file; for custom ops, the name of their file';
comment on column mart.step_time.tensor_parallel is 'devices that share the layer; the shape is one device''s share';
comment on column mart.step_time.lower_bound_s is 'lower bound of the step''s time: the sum over its ops, and the time that a device waits for other stages';
comment on column mart.step_time.tokens_per_s is 'prefill: prompt tokens, or those of the chunk; decode: one token per sequence and step; mixed: those of the chunk beside them, too; speculative: as decode, before accepted candidates (times mart.expected_tokens); for all devices that share the model together';
comment on column mart.step_time.weight_memory_bytes is 'weights that one device holds, each part of the model in its own bits, with scales';
comment on column mart.step_time.kv_memory_bytes is 'KV cache that one device holds, at the end of the context: that of its replica''s part of the batch, batch_size / data_parallel rounded up';
comment on column mart.step_time.state_memory_bytes is 'recurrent state that one device holds, of as many sequences, which does not grow with the context';
comment on column mart.step_time.indexer_memory_bytes is 'keys that the indexers of sparse attention keep beside the KV cache, of as many sequences';
comment on column mart.step_time.tower_memory_bytes is 'weights of vision and audio encoders, which each device holds in full';
comment on column mart.step_time.exceeds_max_positions is 'whether the context is longer than the config of the model states; null if it states nothing';
comment on column mart.step_time.memory_bytes is 'weights with towers, KV cache, keys of indexers and state of one device: what it holds between steps, so without activations';
comment on column mart.step_time.activation_memory_bytes is 'activations of one device at the peak of a step: the most that one op reads and writes (a layer''s, or the logits of lm_head), and the residual stream of as many sequences as have their KV cache there';
comment on column mart.step_time.device_memory_bytes is 'memory of one device';
comment on column mart.step_time.fits_in_memory is 'whether memory_bytes fit the device, none of which is left free: mart.fits_in_memory(memory_bytes + activation_memory_bytes, device_memory_bytes, free_share := 0.1) counts activations and leaves a tenth';
comment on column mart.step_time.dominant_op_group is 'op group that takes the most time';
comment on column mart.step_time.dominant_share is 'its share of the time';
comment on column mart.step_time.bound is 'what takes the most time';
comment on column mart.step_time.bubble_s is 'time that a device waits for the other stages of a pipeline, less that of ops that run meanwhile; 0 without one';
