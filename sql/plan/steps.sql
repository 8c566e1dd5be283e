-- one row per device, precision, sharing, role and batch of the steps of a plan that fit: expected time, and memory of a device
with
point as (
    select * from mart.roofline_point
    where level in ('dram', 'interconnect')
),

-- ops that run apart for the rows of a mixed step that decode, and again for the chunk beside them
apart as (
    select distinct left(op, len(op) - len('_prefill')) as op
    from core.op_shape
    where phase = 'mixed' and ends_with(op, '_prefill')
),

op as (
    select
        op.*,
        case
            when phase = 'mixed' and ends_with(op.op, '_prefill') then 'chunk'
            when apart.op is null then 'shared'
            else 'rows'
        end as part,
    from mart.step_ops('point') as op
    left join apart on op.op = apart.op
    where fusion = 'engine'
),

timed as (
    select
        setting.role,
        setting.step_batch_size as batch_size,
        setting.step_query_length as query_length,
        setting.tensor_parallel,
        setting.expert_parallel,
        setting.pipeline_parallel,
        setting.data_parallel,
        op.hardware_id,
        op.precision_id,
        sum(op.predicted_s) as seconds,
        sum(op.start_s) as start_s,
        sum(op.gap_s) as gap_s,
        sum(op.graph_gap_s) as graph_gap_s,
        coalesce(sum(op.lower_bound_s) filter (op.is_covered), 0) / sum(op.lower_bound_s) as covered_share,
        coalesce(max(op.activation_bytes) filter (op.level = 'dram'), 0) as live_bytes,
        coalesce(bool_or(op.level = 'interconnect'), false) as has_link,
        string_agg(distinct op.transferred_from, ', ' order by op.transferred_from) as transferred_from,
    from op
    inner join core.step_part as setting
        using (
            phase, batch_size, sequence_length, query_length,
            tensor_parallel, expert_parallel, pipeline_parallel, data_parallel
        )
    where setting.part in ('whole', op.part)
    group by all
),

link as (
    select hardware_id, value_per_s as link_bytes_per_s,
    from core.ceiling
    where kind = 'bandwidth' and name = 'interconnect' and is_default
),

held as (
    select
        timed.*,
        link.link_bytes_per_s,
        (timed.batch_size + timed.data_parallel - 1) // timed.data_parallel as batch_share,
        -- a mixed step keeps the sequence of its chunk, too; at its end, a request has all of its tokens
        if(role = 'mixed', batch_share + 1, batch_share) as sequences,
        if(role = 'prefill', $prompt, $prompt + $output) as length,
        if(role = 'mixed', batch_share + query_length, batch_share * query_length) as step_rows,
        mart.kv_memory_bytes(shard, model.sliding_window, length, precision.kv_bits)
        + mart.indexer_memory_bytes(shard, length, precision.kv_bits)
        + mart.state_memory_bytes(shard, precision.state_bits, precision.activation_bits)
            as sequence_bytes,
        weight.weight_bytes + weight.tower_bytes
        + sequences * sequence_bytes
        + live_bytes
        + step_rows * model.hidden_size * precision.residual_bits / 8 as memory_bytes,
    from timed
    inner join core.model as model on model.model_id = $model_id
    inner join core.model_shard as shard
        using (tensor_parallel, expert_parallel, pipeline_parallel, data_parallel)
    inner join core.weight_memory as weight
        using (precision_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel)
    inner join core.precision as precision using (precision_id)
    left join link using (hardware_id)
    -- devices that share a model need a link between them
    where has_link or tensor_parallel * expert_parallel * pipeline_parallel = 1
)

select
    hardware_id,
    precision_id,
    tensor_parallel,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
    role,
    batch_size,
    mart.launched_s($launch, seconds, start_s, gap_s, graph_gap_s) as step_s,
    held.memory_bytes,
    -- what a device that prefills sends to those that decode
    if(role = 'prefill', sequences * sequence_bytes / link_bytes_per_s, 0) as send_s,
    covered_share,
    transferred_from,
from held
inner join core.hardware as hardware using (hardware_id)
where mart.fits_in_memory(held.memory_bytes, hardware.memory_bytes, free_share := $free_share)
order by all
