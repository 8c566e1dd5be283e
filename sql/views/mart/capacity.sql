-- one row per hardware, model, precision, sharing and context
create or replace view mart.capacity as
with
cost as (
    select * from core.op_cost
),

shape as (
    select * from core.op_shape where phase = 'decode' and convention = 'engine'
),

roof as (
    select *
    from mart.kernel_roof
    where is_default and kernel_pipe = '' and kernel_accumulator = ''
),

-- rows only scale the costs; replicas of attention have equal parts of the batch
decode as (
    select
        shape.*,
        cost.* exclude (shape_id),
    from cost
    inner join shape using (shape_id)
    qualify row_number() over (
        partition by
            model_id, precision_id, tensor_parallel, expert_parallel, pipeline_parallel,
            data_parallel, sequence_length, op
        order by batch_size % data_parallel, batch_size
    ) = 1
),

-- seconds of an op in a step: by work, by bytes that grow with the rows, and by weights, of which
-- a mixture reads the experts that are hit: all but the share that each token misses
timed as (
    select
        decode.*,
        roof.hardware_id,
        mart.reduction(decode.kind, roof.reduces_in_switch) as algorithm,
        decode.repeat / decode.batch_size as per_row,
        per_row * decode.flops / roof.peak_flops_per_s as compute_s,
        per_row / roof.bandwidth_bytes_per_s * if(
            algorithm = 'switch',
            mart.switch_bytes(decode.activation_bytes, decode.tensor_parallel),
            decode.activation_bytes + decode.kv_bytes + decode.state_bytes
        ) as moved_s,
        decode.repeat * decode.weight_bytes / roof.bandwidth_bytes_per_s
        / decode.matrices * coalesce(decode.experts, decode.matrices) as weights_s,
        pow(greatest(1 - decode.matrices / decode.experts, 1e-300), 1 / decode.batch_size)
            as missed,
        compute_s - moved_s as surplus_s,
        -- rows * surplus = weights * (1 - missed ^ rows), by Newton's method from above
        case
            when decode.level <> 'dram' or surplus_s <= 0 then null
            when missed is null then weights_s / surplus_s
            else list_reduce(
                range(30)::double[],
                lambda rows, turn: rows - (
                    surplus_s * rows - weights_s * (1 - pow(missed, rows))
                ) / (surplus_s + weights_s * pow(missed, rows) * ln(missed)),
                weights_s / surplus_s
            )
        end as critical_rows,
        if(critical_rows <= 1, 1, ceil(critical_rows * (1 - 1e-12))) as critical_batch,
    from decode
    inner join roof on decode.compute_dtype = roof.dtype and decode.level = roof.level
    semi join mart.runnable_precision as runnable
        on roof.hardware_id = runnable.hardware_id and decode.precision_id = runnable.precision_id
),

-- from the batch at which an op becomes compute-bound to the next such batch, the same ops are
stretch as (
    select
        hardware_id,
        model_id,
        precision_id,
        tensor_parallel,
        expert_parallel,
        pipeline_parallel,
        data_parallel,
        sequence_length,
        op,
        level,
        critical_batch,
        activation_bytes / batch_size as live_bytes,
        sum(compute_s) over computed as computed_s,
        coalesce(sum(moved_s) filter (level = 'dram') over read, 0) as left_moved_s,
        coalesce(sum(weights_s) filter (missed is null) over read, 0) as left_read_s,
        coalesce(
            list(struct_pack(weights_s, missed)) filter (missed is not null) over read, []
        ) as mixtures,
        coalesce(sum(moved_s) filter (level = 'interconnect') over step, 0) as linked_s,
        min(critical_batch) over read as next_batch,
        computed_s - left_moved_s as gain_s,
    from timed
    window
        step as (
            partition by
                hardware_id, model_id, precision_id, tensor_parallel, expert_parallel,
                pipeline_parallel, data_parallel, sequence_length
        ),
        computed as (
            partition by
                hardware_id, model_id, precision_id, tensor_parallel, expert_parallel,
                pipeline_parallel, data_parallel, sequence_length
            order by critical_batch nulls last
        ),
        read as (
            partition by
                hardware_id, model_id, precision_id, tensor_parallel, expert_parallel,
                pipeline_parallel, data_parallel, sequence_length
            order by critical_batch desc nulls first
            range between unbounded preceding and current row
            exclude group
        )
),

-- rows * gain = read + weights of the experts that are hit, within the stretch
solved as (
    select
        *,
        critical_batch is not null and gain_s > 0 and computed_s >= linked_s as can_gain,
        case
            when not can_gain then null
            when len(mixtures) = 0 then left_read_s / gain_s
            else list_reduce(
                range(30)::double[],
                lambda rows, turn: rows - (
                    gain_s * rows
                    - left_read_s
                    - list_sum(list_transform(
                        mixtures, lambda each: each.weights_s * (1 - pow(each.missed, rows))
                    ))
                ) / (
                    gain_s
                    + list_sum(list_transform(
                        mixtures, lambda each: each.weights_s * pow(each.missed, rows) * ln(each.missed)
                    ))
                ),
                (
                    left_read_s
                    + list_sum(list_transform(mixtures, lambda each: each.weights_s))
                ) / gain_s
            )
        end as solved_rows,
        greatest(critical_batch, ceil(solved_rows * (1 - 1e-12))) as batch,
        can_gain and (next_batch is null or batch < next_batch) as is_reached,
    from stretch
),

step as (
    select
        hardware_id,
        model_id,
        precision_id,
        tensor_parallel,
        expert_parallel,
        pipeline_parallel,
        data_parallel,
        sequence_length,
        min(batch) filter (is_reached)::bigint
            as compute_bound_batch,
        map_from_entries(
            list((op, critical_batch::bigint) order by op) filter (level = 'dram')
        ) as compute_bound_batch_by_op,
        max(live_bytes) filter (level = 'dram') as live_bytes,
        bool_or(level = 'interconnect') as is_linked,
    from solved
    group by all
),

held as (
    select
        step.*,
        weight.weight_bytes + weight.tower_bytes as fixed_memory_bytes,
        mart.kv_memory_bytes(
            shard, model.sliding_window, step.sequence_length, precision.kv_bits
        )
        + mart.indexer_memory_bytes(shard, step.sequence_length, precision.kv_bits)
        + mart.state_memory_bytes(shard, precision.state_bits, precision.activation_bits)
            as sequence_memory_bytes,
        step.live_bytes + model.hidden_size * precision.residual_bits / 8
            as sequence_activation_bytes,
        hardware.memory_bytes as device_memory_bytes,
    from step
    inner join core.model as model using (model_id)
    inner join core.model_shard as shard
        using (model_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel)
    inner join core.weight_memory as weight using (
        model_id, precision_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel
    )
    inner join core.precision as precision using (precision_id)
    inner join core.hardware as hardware using (hardware_id)
    -- devices that share a model need a link between them
    where
        step.is_linked
        or greatest(
            step.tensor_parallel, step.expert_parallel, step.pipeline_parallel, step.data_parallel
        ) = 1
)

select
    hardware_id,
    model_id,
    precision_id,
    tensor_parallel,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
    sequence_length,
    data_parallel * mart.largest_batch(
        device_memory_bytes, fixed_memory_bytes, sequence_memory_bytes
    ) as largest_batch,
    compute_bound_batch,
    compute_bound_batch_by_op,
    fixed_memory_bytes,
    sequence_memory_bytes,
    sequence_activation_bytes,
    device_memory_bytes,
from held;

comment on view mart.capacity is 'one row per hardware, model, precision, sharing and context: the most sequences that fit, and the fewest with which decode is compute-bound, in convention engine on the default roof, at each context for which a workload asks';
comment on column mart.capacity.model_id is 'the model, by the name of its config file; for custom ops, the name of their file';
comment on column mart.capacity.tensor_parallel is 'devices that share the layer; the shape is one device''s share';
comment on column mart.capacity.largest_batch is 'the most sequences whose weights, KV cache and state fit: one more does not; 0 if none fits, null if a sequence takes no memory. mart.largest_batch(device_memory_bytes, fixed_memory_bytes, sequence_memory_bytes + sequence_activation_bytes, free_share := 0.1) counts activations and leaves a tenth free';
comment on column mart.capacity.compute_bound_batch is 'the fewest sequences with which compute-bound ops take the most time of a step, so that its bound is compute; null if there is none';
comment on column mart.capacity.compute_bound_batch_by_op is 'the fewest sequences with which each op is compute-bound; null if it never is';
comment on column mart.capacity.fixed_memory_bytes is 'weights with towers that one device holds';
comment on column mart.capacity.sequence_memory_bytes is 'KV cache, keys of indexers and state of a sequence on one device';
comment on column mart.capacity.sequence_activation_bytes is 'activations of a sequence at the peak of a decode step, as activation_memory_bytes of mart.step_time';
comment on column mart.capacity.device_memory_bytes is 'memory of one device';
