-- one row per run of a serving engine that numbers of the engine can be fitted to: what its device does is calibrated
select
    engine,
    hardware_id,
    model_id,
    tpot_s,
    expected_tpot_s - host_s as device_s,
    source,
from mart.measured_serving
where
    tpot_s is not null
    and expected_tpot_s is not null
    and covered_share >= 0.9
    -- what is above its bound is not what the run says
    and share_of_bound <= 1
order by engine, hardware_id, model_id, serving_id
