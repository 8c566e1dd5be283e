-- one row per hardware, op group, dtype, source and launch
create or replace view mart.efficiency as
with
point as (
    select * from mart.measured_point
)

select
    hardware_id,
    op_group,
    dtype,
    source_id,
    any_value(source) as source,
    count(*) as n,
    median(roof_fraction) as median,
    quantile_cont(roof_fraction, 0.1) as p10,
    quantile_cont(roof_fraction, 0.9) as p90,
    count(*) filter (is_above_roof) as measurements_above_roof,
    launch,
from point
where op_group <> 'ceiling' and level = 'dram' and roof_fraction is not null
group by hardware_id, op_group, dtype, source_id, launch;

comment on view mart.efficiency is 'one row per hardware, op group, dtype, source and launch: the share of the roof that measured kernels reach';
comment on column mart.efficiency.n is 'kernels that were measured';
comment on column mart.efficiency.median is 'median share of the roof';
comment on column mart.efficiency.p10 is 'share of the roof that nine in ten kernels exceed';
comment on column mart.efficiency.p90 is 'share of the roof that one in ten kernels exceeds';
comment on column mart.efficiency.measurements_above_roof is 'kernels that took less than the lower bound';
