-- one row per table and device of which a chart of one device reads the device's rows alone: their number and a digest of them
select 'core.ceiling' as table_name, hardware_id, count(*) as row_count, sum(hash(ceiling)) as digest
from core.ceiling as ceiling
group by hardware_id
union all
select 'core.hardware', hardware_id, count(*), sum(hash(hardware))
from core.hardware as hardware
group by hardware_id
union all
select 'core.runnable_precision', hardware_id, count(*), sum(hash(runnable))
from core.runnable_precision as runnable
group by hardware_id
