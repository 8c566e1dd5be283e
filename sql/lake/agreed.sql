-- one row per writer and device, model, file of ops or precision that it describes as the last push does
create or replace view pushed.agreed as
with
apart as (
    select
        writer,
        precision_id,
        string_agg(
            concat_ws(
                ' ',
                part,
                coalesce(weight_bits, 0),
                coalesce(activation_bits, 0),
                coalesce(compute_dtype, '-'),
                coalesce(row_scale_bits, -1)
            ),
            ', ' order by part
        ) as parts,
    from pushed.precision_part
    group by all
),

thing as (
    select writer, 'device' as kind, hardware_id as id, source_id
    from pushed.hardware
    union all by name
    select writer, 'model' as kind, model_id as id, source_id
    from pushed.model
    union all by name
    select writer, 'model' as kind, op_set_id as id, source_id
    from pushed.op_set
),

described as (
    select
        thing.writer,
        thing.kind,
        thing.id,
        writer.pushed_at,
        -- costs are a function of these two
        concat_ws(' ', source.sha256, if(thing.kind = 'model', writer.costs_sha256, null))
            as description,
    from thing
    inner join pushed.source as source using (writer, source_id)
    inner join pushed.writer as writer using (writer)
    union all by name
    select
        writer,
        'precision' as kind,
        precision_id as id,
        pushed_at,
        concat_ws(
            ' ',
            weight_bits,
            activation_bits,
            kv_bits,
            compute_dtype,
            coalesce(vector_bits, 0),
            row_scale_bits,
            coalesce(state_bits, 0),
            residual_bits,
            apart.parts
        ) as description,
    from pushed.precision
    inner join pushed.writer using (writer)
    left join apart using (writer, precision_id)
)

select writer, kind, id,
from described
qualify
    description
    = first_value(description) over (partition by kind, id order by pushed_at desc, writer);

comment on view pushed.agreed is 'one row per writer and device, model, file of ops or precision that it describes as the last push does: rows of other writers are hidden';
