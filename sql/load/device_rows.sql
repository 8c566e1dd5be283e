-- one row per table with rows of devices and device: their number and a digest of them
select 'core.calibration' as table_name, hardware_id, count(*) as row_count, sum(hash(calibration)) as digest
from core.calibration as calibration
group by hardware_id
union all
select 'core.ceiling', hardware_id, count(*), sum(hash(ceiling))
from core.ceiling as ceiling
group by hardware_id
union all
select 'core.engine', hardware_id, count(*), sum(hash(engine))
from core.engine as engine
group by hardware_id
union all
select 'core.hardware', hardware_id, count(*), sum(hash(hardware))
from core.hardware as hardware
group by hardware_id
union all
select 'core.measurement', hardware_id, count(*), sum(hash(measurement))
from core.measurement as measurement
group by hardware_id
union all
select 'core.runnable_precision', hardware_id, count(*), sum(hash(runnable_precision))
from core.runnable_precision as runnable_precision
group by hardware_id
union all
select 'core.serving_measurement', hardware_id, count(*), sum(hash(serving_measurement))
from core.serving_measurement as serving_measurement
group by hardware_id
union all
select 'core.step_calibration', hardware_id, count(*), sum(hash(step_calibration))
from core.step_calibration as step_calibration
group by hardware_id
union all
select 'core.step_measurement', hardware_id, count(*), sum(hash(step_measurement))
from core.step_measurement as step_measurement
group by hardware_id
union all
-- the files that these rows come from, without the columns that no view reads
select 'core.source', hardware_id, count(*), sum(hash(source))
from (
    select * exclude (sha256, size_bytes, ingested_at)
    from core.source
) as source
inner join (
    select hardware_id, source_id from core.calibration
    union
    select hardware_id, source_id from core.ceiling
    union
    select hardware_id, source_id from core.engine
    union
    select hardware_id, source_id from core.hardware
    union
    select hardware_id, source_id from core.measurement
    union
    select hardware_id, source_id from core.serving_measurement
    union
    select hardware_id, source_id from core.step_calibration
    union
    select hardware_id, source_id from core.step_measurement
) as fact using (source_id)
group by hardware_id
