-- one row per hardware, phase, number of devices, precision, launch and fusion of measured steps
create or replace view mart.step_error as
select
    hardware_id,
    phase,
    tensor_parallel,
    precision_id,
    launch,
    fusion,
    count(*) as steps,
    count(distinct model_id) as models,
    avg(abs(relative_error)) as mean_absolute_error,
    median(abs(relative_error)) as median_absolute_error,
    max(abs(relative_error)) as greatest_absolute_error,
    avg(relative_error) as mean_error,
    avg(lower_bound_s / latency_s) as mean_roof_fraction,
from mart.measured_step
where relative_error is not null
group by all;

comment on view mart.step_error is 'one row per hardware, phase, number of devices, precision, launch and fusion of measured steps: how far expected steps are off';
comment on column mart.step_error.steps is 'measured steps';
comment on column mart.step_error.models is 'models that were measured';
comment on column mart.step_error.mean_absolute_error is 'mean of abs(predicted / measured - 1)';
comment on column mart.step_error.median_absolute_error is 'median of the same';
comment on column mart.step_error.greatest_absolute_error is 'greatest of the same';
comment on column mart.step_error.mean_error is 'mean of predicted / measured - 1: above 0, expected times are too long';
comment on column mart.step_error.mean_roof_fraction is 'mean share of the roof that is reached: lower bound / measured time';
