-- one row per hardware, dtype and basis
create or replace view mart.roof as
select
    * exclude (
        level, pipe, accumulator, ceiling_name, is_main, preference, reduces_in_switch, switch_devices
    ),
from mart.roof_by_level
where level = 'dram' and is_main;

comment on view mart.roof is 'one row per hardware, dtype and basis: a compute ceiling with a DRAM bandwidth: a default peak with the default bandwidth, another peak with the bandwidth of its basis, or else the default one; of several ceilings of one basis, the first';
