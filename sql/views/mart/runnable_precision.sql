-- one row per hardware and precision that it can run
create or replace view mart.runnable_precision as
select
    hardware_id,
    precision_id,
from core.runnable_precision;

comment on view mart.runnable_precision is 'one row per hardware and precision that it can run: the device has a peak for every dtype that parts of a model compute in';
