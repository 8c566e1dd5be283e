-- one row per hardware, model, convention, precision, phase, setting and sharing
create or replace view mart.step_time as
with
group_time as (
    select * from mart.op_group_time
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
    step.flops,
    step.bytes,
    step.interconnect_bytes,
    step.lower_bound_s,
    step.tokens_per_s,
    step.weight_memory_bytes,
    step.kv_memory_bytes,
    step.memory_bytes,
    mart.fits_in_memory(step.memory_bytes, hardware.memory_bytes) as fits_in_memory,
    dominant_op_group,
    dominant_share,
    memory_s,
    compute_s,
    interconnect_s,
    bound,
    state_memory_bytes,
    indexer_memory_bytes,
    tower_memory_bytes,
    exceeds_max_positions,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
    activation_memory_bytes,
    hardware.memory_bytes as device_memory_bytes,
    bubble_s,
from mart.step_times('group_time') as step
inner join core.hardware as hardware using (hardware_id);

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
