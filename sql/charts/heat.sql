-- one row per op group, phase, dtype and size of measured kernels
select
    'measured' as layer,
    concat_ws(' ', point.series, point.dtype) as label,
    point.op_group,
    point.phase,
    point.dtype,
    floor(log2(point.flops)) as exponent,
    pow(2, floor(log2(point.flops))) as least_flops,
    count(*) as kernels,
    median(point.roof_fraction) as roof_fraction,
    max(point.is_above_roof) as is_above_roof,
    hardware.short_name as hardware,
from mart.measured_point as point
inner join core.hardware as hardware using (hardware_id)
where
    point.hardware_id = $hardware_id
    and point.op_group <> 'ceiling'
    and point.flops > 0
    and point.level = 'dram'
    and point.roof_fraction is not null
group by all
order by label, exponent
