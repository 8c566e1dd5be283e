-- one row per point of a user's query, which the process that draws it holds in memory
with
-- a label can name the level of a point that has none, e.g. "SpMV (l2)"
own as (
    select
        *,
        lower(regexp_extract(name, '\((\w+)\)$', 1)) as word,
        level is null and (
            word in ('l1', 'lds', 'l2', 'l3', 'mcdram', 'dram', 'interconnect')
            or (hardware_id, word) in (
                select (hardware_id, name) from core.ceiling where kind = 'bandwidth'
            )
        ) as has_level,
    from own_point
)

select
    * exclude (word, has_level)
    replace (
        coalesce(level, if(has_level, word, 'dram')) as level,
        if(has_level, trim(regexp_replace(name, '\(\w+\)$', '')), name) as name
    ),
    if(has_level, trim(regexp_replace(own.name, '\(\w+\)$', '')), own.name) as ops,
from own
