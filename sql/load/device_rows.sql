-- one row per table with rows of devices and device: their number and a digest of them
with fact as (
    select 'core.calibration' as table_name, hardware_id, source_id, hash(calibration) as digest
    from core.calibration as calibration
    union all
    select 'core.ceiling', hardware_id, source_id, hash(ceiling) from core.ceiling as ceiling
    union all
    select 'core.engine', hardware_id, source_id, hash(engine) from core.engine as engine
    union all
    select 'core.hardware', hardware_id, source_id, hash(hardware) from core.hardware as hardware
    union all
    select 'core.measurement', hardware_id, source_id, hash(measurement) from core.measurement as measurement
    union all
    select 'core.runnable_precision', hardware_id, null, hash(runnable) from core.runnable_precision as runnable
    union all
    select 'core.serving_measurement', hardware_id, source_id, hash(serving) from core.serving_measurement as serving
    union all
    select 'core.step_calibration', hardware_id, source_id, hash(calibration) from core.step_calibration as calibration
    union all
    select 'core.step_measurement', hardware_id, source_id, hash(measurement) from core.step_measurement as measurement
)

select
    table_name,
    hardware_id,
    count(*) as row_count,
    sum(digest) as digest,
from fact
group by table_name, hardware_id
union all
-- the files that these rows come from, without the columns that no view reads
select
    'core.source',
    hardware_id,
    count(*),
    sum(hash(source)),
from (
    select * exclude (sha256, size_bytes, ingested_at)
    from core.source
) as source
inner join (select distinct hardware_id, source_id from fact) using (source_id)
group by hardware_id
