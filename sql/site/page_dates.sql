-- one row per device and per model, and one for the whole site: when the newest input file that names it was first read
with facts as (
    select hardware_id, null as model_id, source_id from core.hardware
    union all
    select hardware_id, null, source_id from core.ceiling
    union all
    select hardware_id, null, source_id from core.calibration
    union all
    select null, model_id, source_id from core.model
    union all
    select hardware_id, model_id, source_id from core.measurement
    union all
    select hardware_id, model_id, source_id from core.step_measurement
    union all
    select hardware_id, model_id, source_id from core.serving_measurement
),

dated as (
    select facts.*, source.ingested_at from facts
    inner join core.source as source using (source_id)
)

select 'device' as kind, hardware_id as id, max(ingested_at) as changed_at
from dated where hardware_id is not null
group by hardware_id
union all
select 'model', model_id, max(ingested_at)
from dated where model_id is not null
group by model_id
union all
select 'site', '', max(ingested_at) from core.source
order by kind, id
