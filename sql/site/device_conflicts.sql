-- one row per device and ceiling that its sources state differently
select
    hardware_id,
    kind,
    name,
    format('{:,.5g}', lowest / if(kind = 'compute', 1e12, 1e9)) as lowest,
    format('{:,.5g}', highest / if(kind = 'compute', 1e12, 1e9)) as highest,
    if(kind = 'compute', 'TFLOP/s', 'GB/s') as unit,
    format('{:.1f} %', 100 * spread) as spread,
    origins,
from mart.spec_conflict
order by hardware_id, kind, name
