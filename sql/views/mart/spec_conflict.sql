-- one row per hardware, kind, name, pipe and own name of a ceiling whose origins or bases disagree
create or replace view mart.spec_conflict as
with
-- a value without a pipe is of the default's
ceiling as (
    select
        * replace (
            if(
                pipe = '',
                coalesce(any_value(pipe) filter (is_default) over of_name, ''),
                pipe
            ) as pipe
        ),
    from core.ceiling
    window of_name as (partition by hardware_id, kind, name)
)

select
    hardware_id,
    kind,
    name,
    min(value_per_s) as lowest,
    max(value_per_s) as highest,
    max(value_per_s) / min(value_per_s) - 1 as spread,
    max(value_per_s) filter (is_default) as default_value,
    count(*) as values_given,
    string_agg(
        format('{:g} ({}: {})', value_per_s, replace(basis, '_', ' '), origin), '; '
        order by value_per_s desc, basis, origin
    ) as origins,
    pipe,
    ceiling_name,
from ceiling
group by hardware_id, kind, name, pipe, ceiling_name
having min(value_per_s) < max(value_per_s);

comment on view mart.spec_conflict is 'one row per hardware, kind, name, pipe and own name of a ceiling whose origins or bases disagree';
comment on column mart.spec_conflict.lowest is 'lowest value: FLOP/s or bytes/s';
comment on column mart.spec_conflict.highest is 'highest value: FLOP/s or bytes/s';
comment on column mart.spec_conflict.spread is 'highest / lowest - 1';
comment on column mart.spec_conflict.default_value is 'value that points are compared with';
comment on column mart.spec_conflict.values_given is 'number of values';
comment on column mart.spec_conflict.origins is 'each value with its basis and the document that states it, highest first';
