-- one row per ceiling of a device
select
    ceiling.hardware_id,
    ceiling.kind,
    ceiling.name as "dtype, level",
    concat_ws(
        ', ',
        nullif(ceiling.pipe, ''),
        nullif(ceiling.accumulator, '') || ' accumulation',
        nullif(ceiling.ceiling_name, '')
    ) as pipe,
    mart.rate_label(ceiling.kind, ceiling.name, ceiling.value_per_s) as "value",
    roof.ridge_flops_per_byte as "ridge, FLOP/byte",
    replace(ceiling.basis, '_', ' ') as basis,
    if(ceiling.is_default, 'yes', '') as "default",
    ceiling.origin,
    ceiling.note,
from core.ceiling as ceiling
left join (select * from mart.roof_by_level where level = 'dram') as roof
    on
        ceiling.hardware_id = roof.hardware_id
        and ceiling.kind = 'compute'
        and ceiling.name = roof.dtype
        and ceiling.basis = roof.basis
        and ceiling.origin = roof.peak_origin
        and ceiling.pipe = roof.pipe
        and ceiling.accumulator = roof.accumulator
        and ceiling.ceiling_name = roof.ceiling_name
order by
    ceiling.hardware_id,
    ceiling.kind desc,
    mart.level_rank(if(ceiling.kind = 'bandwidth', ceiling.name, 'dram')),
    if(ceiling.kind = 'compute', ceiling.value_per_s, 0) desc,
    ceiling.name,
    ceiling.preference,
    ceiling.basis,
    ceiling.origin
