-- one row per device, op group, dtype, launch and source of measured kernels
select
    hardware_id,
    op_group as "op group",
    dtype,
    launch,
    n as kernels,
    format('{:.0f}%', 100 * median) as "median share of the roof",
    format('{:.0f}%', 100 * p10) as "10th percentile",
    format('{:.0f}%', 100 * p90) as "90th percentile",
    measurements_above_roof as "above the roof",
    source,
from mart.efficiency
order by hardware_id, op_group, dtype, source_id, launch
