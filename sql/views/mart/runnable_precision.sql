-- one row per hardware and precision that it can run
create or replace view mart.runnable_precision as
with
needed as (
    select precision_id, compute_dtype as dtype,
    from core.precision
    union
    select precision_id, compute_dtype as dtype,
    from core.precision_part
    where compute_dtype is not null
),

peak as (
    select distinct hardware_id, name as dtype,
    from core.ceiling
    where kind = 'compute'
),

counted as (
    select *, count(*) over (partition by precision_id) as dtypes,
    from needed
)

select
    peak.hardware_id,
    counted.precision_id,
    counted.dtypes,
from counted
inner join peak using (dtype)
group by all
having count(*) = counted.dtypes;

comment on view mart.runnable_precision is 'one row per hardware and precision that it can run: the device has a peak for every dtype that parts of a model compute in';
comment on column mart.runnable_precision.dtypes is 'dtypes that the precision computes in';
