-- one row per hardware, model, precision, sharing and context
create or replace view mart.capacity as
with
-- dtypes that parts of a model compute in, in the order of a device's roofs
needed as not materialized (
    select
        precision_id,
        dtype,
        row_number() over (partition by precision_id order by dtype) as roof_number,
    from mart.precision_dtype
),

-- all rows of a step follow from the sequences that are computed at once: a micro-batch of a replica
shape as (
    select
        *,
        max(sequences) over of_step as sequences_at_once,
        (batch_size + data_parallel - 1) // data_parallel as of_replica,
        mart.replicas_served(expert_parallel, tensor_parallel) as replicas_served,
    from core.op_shape
    where phase = 'decode' and convention = 'engine'
    window of_step as (
        partition by
            model_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel,
            sequence_length, batch_size
    )
),

-- the ops of a step: work, and bytes that grow with its rows, of one row; and weights, of which a
-- mixture reads the experts that are hit: all but the share that each sequence misses
setting as (
    select
        shape.model_id,
        cost.precision_id,
        shape.tensor_parallel,
        shape.expert_parallel,
        shape.pipeline_parallel,
        shape.data_parallel,
        shape.sequence_length,
        shape.batch_size,
        max((shape.of_replica + shape.sequences_at_once - 1) // shape.sequences_at_once) as turns,
        bool_or(shape.row_share % 1 > 0) as is_rounded,
        bool_or(shape.level = 'interconnect') as is_linked,
        max(cost.activation_bytes / shape.of_replica) filter (shape.level = 'dram') as live_bytes,
        list_sort(list(struct_pack(
            op := shape.op,
            roof_number := needed.roof_number,
            is_link := shape.level = 'interconnect',
            is_reduced := shape.kind = 'all_reduce',
            row_share := shape.row_share,
            experts := shape.experts,
            flops := shape.repeat * cost.flops
            / if(shape.row_share is null, shape.sequences_at_once, shape.m),
            moved_bytes := shape.repeat * (cost.activation_bytes + cost.kv_bytes + cost.state_bytes)
            / if(shape.row_share is null, shape.sequences_at_once, shape.m),
            weight_bytes := shape.repeat * cost.weight_bytes / shape.matrices
            * coalesce(shape.experts, shape.matrices),
            missed := if(
                shape.experts is null,
                null,
                greatest(
                    pow(
                        greatest(1 - shape.row_share / shape.experts / shape.replicas_served, 0),
                        shape.replicas_served
                    ),
                    1e-300
                )
            )
        ))) as ops,
    from core.op_cost as cost
    inner join shape using (shape_id)
    inner join needed on cost.precision_id = needed.precision_id and cost.compute_dtype = needed.dtype
    group by all
),

-- costs of the smallest batch, in as many micro-batches as the largest
decode as (
    select * replace (max(turns) over of_setting as turns),
    from setting
    window of_setting as (
        partition by
            model_id, precision_id, tensor_parallel, expert_parallel, pipeline_parallel,
            data_parallel, sequence_length
    )
    qualify batch_size = min(batch_size) over of_setting
),

-- only a device that can run each op of a step has roofs for a precision
roof as (
    select
        kernel_roof.hardware_id,
        needed.precision_id,
        coalesce(bool_or(kernel_roof.reduces_in_switch), false) as reduces_in_switch,
        list_sort(list(struct_pack(
            needed.roof_number, kernel_roof.peak_flops_per_s, kernel_roof.bandwidth_bytes_per_s
        )) filter (kernel_roof.level = 'dram')) as roofs,
        max(kernel_roof.bandwidth_bytes_per_s) filter (kernel_roof.level = 'interconnect')
            as link_bytes_per_s,
    from mart.kernel_roof as kernel_roof
    inner join needed using (dtype)
    semi join core.runnable_precision as runnable
        on
            kernel_roof.hardware_id = runnable.hardware_id
            and needed.precision_id = runnable.precision_id
    where
        kernel_roof.is_default
        and kernel_roof.kernel_pipe = ''
        and kernel_roof.kernel_accumulator = ''
    group by all
),

-- seconds of an op in a step: by work and by bytes of one row, and by weights
timed as (
    select
        * exclude (ops),
        list_transform(ops, lambda each: struct_pack(
            op := each.op,
            is_link := each.is_link,
            row_share := each.row_share,
            experts := each.experts,
            missed := each.missed,
            compute_s := each.flops / roofs[each.roof_number].peak_flops_per_s,
            moved_s := if(
                each.is_reduced and reduces_in_switch,
                mart.switch_bytes(each.moved_bytes, tensor_parallel),
                each.moved_bytes
            ) / if(each.is_link, link_bytes_per_s, roofs[each.roof_number].bandwidth_bytes_per_s),
            weights_s := each.weight_bytes / roofs[each.roof_number].bandwidth_bytes_per_s
        )) as ops,
    from decode
    inner join roof using (precision_id)
    -- devices that share a model need a link between them
    where not is_linked or link_bytes_per_s is not null
),

-- the fewest sequences at once with which an op is compute-bound, if rows were not rounded
critical as (
    select
        * exclude (ops),
        list_transform(ops, lambda each: struct_pack(
            share := if(
                each.is_link,
                null,
                mart.critical_rows(
                    (each.compute_s - each.moved_s) * coalesce(each.row_share, 1),
                    each.weights_s,
                    each.missed
                )
            ),
            computed_s := each.compute_s * coalesce(each.row_share, 1),
            left_s := each.moved_s * coalesce(each.row_share, 1),
            each := each
        )) as ops,
    from timed
),

-- those that can be, in the order in which they are; from each to the next, the same ops are
ordered as (
    select
        *,
        list_sort(list_filter(ops, lambda each: each.share is not null)) as bound,
        list_transform(bound, lambda each: greatest(ceil(each.share * (1 - 1e-12)), 1)) as shares,
        list_transform(bound, lambda each: each.computed_s) as computed,
        list_transform(bound, lambda each: each.left_s) as moved,
        list_transform(bound, lambda each: if(each.each.missed is null, each.each.weights_s, 0)) as read,
        list_filter(ops, lambda each: each.share is null) as never,
        list_sum(list_transform(never, lambda each: if(each.each.is_link, 0, each.left_s))) as never_moved_s,
        list_sum(list_transform(never, lambda each: if(each.each.is_link, each.left_s, 0))) as linked_s,
        list_sum(list_transform(
            never, lambda each: if(each.each.missed is null, each.each.weights_s, 0)
        )) as never_read_s,
        list_transform(
            list_filter(ops, lambda each: each.each.missed is not null),
            lambda each: struct_pack(
                share := if(each.share <= 1, 1, ceil(each.share * (1 - 1e-12))),
                weights_s := each.each.weights_s,
                missed := each.each.missed
            )
        ) as mixtures,
    from critical
),

stretch as (
    select
        *,
        list_filter(
            list_transform(range(1, len(bound) + 1), lambda i: struct_pack(
                share := shares[i],
                next_share := coalesce(shares[i + 1], 'infinity'::double),
                computed_s := list_sum(computed[:i]),
                gain_s := list_sum(computed[:i]) - never_moved_s - coalesce(list_sum(moved[i + 1:]), 0),
                read_s := never_read_s + coalesce(list_sum(read[i + 1:]), 0)
            )),
            lambda part: part.gain_s > 0 and part.computed_s >= linked_s
        ) as parts,
    from ordered
),

-- sequences * gain = read + weights of the experts that are hit, within the stretch
solved as (
    select
        *,
        list_filter(
            if(
                len(mixtures) = 0,
                list_transform(parts, lambda part: struct_pack(
                    share := greatest(part.share, ceil((1 - 1e-12) * part.read_s / part.gain_s)),
                    next_share := part.next_share
                )),
                list_transform(parts, lambda part: struct_pack(
                    share := greatest(part.share, ceil((1 - 1e-12) * mart.critical_rows_of_mixtures(
                        part.gain_s,
                        part.read_s,
                        list_filter(mixtures, lambda each: each.share is null or each.share > part.share)
                    ))),
                    next_share := part.next_share
                ))
            ),
            lambda part: part.share < part.next_share
        )[1].share as even_share,
    from stretch
),

-- rows that are rounded move the solution by a few sequences, and those of each op
step as (
    select
        * exclude (ops),
        if(
            is_rounded and even_share is not null,
            list_filter(
                range(greatest(even_share::bigint - 64, 1), even_share::bigint + 65),
                lambda sequences: list_sum(list_transform(ops, lambda each: case
                    when each.each.is_link then 0
                    when mart.work_s(each.each, sequences, expert_parallel)
                    >= mart.moving_s(each.each, sequences, expert_parallel)
                        then mart.work_s(each.each, sequences, expert_parallel)
                    else -mart.moving_s(each.each, sequences, expert_parallel)
                end)) > 0
                and list_sum(list_transform(ops, lambda each: case
                    when each.each.is_link then -mart.moving_s(each.each, sequences, expert_parallel)
                    when mart.work_s(each.each, sequences, expert_parallel)
                    >= mart.moving_s(each.each, sequences, expert_parallel)
                        then mart.work_s(each.each, sequences, expert_parallel)
                    else 0
                end)) >= 0
            )[1],
            even_share
        ) as bound_share,
        list_filter(ops, lambda each: not each.each.is_link) as own,
        if(
            is_rounded,
            list_transform(own, lambda each: list_filter(
                range(greatest(each.share::bigint - 64, 1), each.share::bigint + 65),
                lambda sequences: mart.work_s(each.each, sequences, expert_parallel)
                >= mart.moving_s(each.each, sequences, expert_parallel) * (1 - 1e-12)
            )[1]::double),
            list_transform(own, lambda each: if(each.share <= 1, 1, ceil(each.share * (1 - 1e-12))))
        ) as shares_by_op,
        -- the first batch with so many sequences at once
        data_parallel * turns as more,
        (more * (bound_share - 1) + 1)::bigint as compute_bound_batch,
        map(
            list_transform(own, lambda each: each.each.op),
            list_transform(shares_by_op, lambda share: (more * (share - 1) + 1)::bigint)
        ) as compute_bound_batch_by_op,
    from solved
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
comment on column mart.capacity.largest_batch is 'the most sequences, of all replicas together, whose weights, KV cache and state fit as mart.step_time counts them: one more does not; 0 if none fits, null if a sequence takes no memory. mart.largest_batch(device_memory_bytes, fixed_memory_bytes, sequence_memory_bytes + sequence_activation_bytes, free_share := 0.1) counts activations and leaves a tenth free';
comment on column mart.capacity.compute_bound_batch is 'the fewest sequences, of all replicas and in as many micro-batches as the largest batch of a workload, with which compute-bound ops take the most time of a step, so that its bound is compute; null if there is none';
comment on column mart.capacity.compute_bound_batch_by_op is 'the fewest sequences with which each op is compute-bound; null if it never is';
comment on column mart.capacity.fixed_memory_bytes is 'weights with towers that one device holds';
comment on column mart.capacity.sequence_memory_bytes is 'KV cache, keys of indexers and state of a sequence on one device: that holds 1 / data_parallel of the batch';
comment on column mart.capacity.sequence_activation_bytes is 'activations of a sequence at the peak of a decode step, as activation_memory_bytes of mart.step_time';
comment on column mart.capacity.device_memory_bytes is 'memory of one device';
