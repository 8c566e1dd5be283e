-- one row per hardware, dtype and basis
create or replace view mart.roof as
select * exclude (level)
from mart.roof_by_level
where level = 'dram';

comment on view mart.roof is 'one row per hardware, dtype and basis: a compute ceiling with a DRAM bandwidth: a default peak with the default bandwidth, another peak with the bandwidth of its basis, or else the default one';
