-- one row per device, ceiling that its sources state differently, and value: by how much each is below the greatest
select
    conflict.hardware_id,
    conflict.kind,
    concat_ws(' ', conflict.name, nullif(conflict.pipe, ''), nullif(conflict.ceiling_name, '')) as "dtype, level",
    mart.rate_label(conflict.kind, conflict.name, ceiling.value_per_s) as "value",
    format('{:.1f}%', 100 * (1 - ceiling.value_per_s / conflict.highest)) as "below the greatest",
    replace(ceiling.basis, '_', ' ') as basis,
    if(ceiling.is_default, 'yes', '') as "default",
    ceiling.origin,
from mart.spec_conflict as conflict
inner join core.ceiling as ceiling
    on
        conflict.hardware_id = ceiling.hardware_id
        and conflict.kind = ceiling.kind
        and conflict.name = ceiling.name
        and ceiling.pipe in ('', conflict.pipe)
        and conflict.ceiling_name = ceiling.ceiling_name
order by
    conflict.hardware_id,
    conflict.kind,
    conflict.name,
    conflict.pipe,
    conflict.ceiling_name,
    ceiling.value_per_s desc,
    ceiling.basis,
    ceiling.origin
