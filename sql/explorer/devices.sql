-- one row per device that has a default roof
select
    hardware.hardware_id,
    hardware.short_name,
    hardware.vendor,
    hardware.memory_bytes,
    hardware.multiprocessors,
    hardware.hardware_id in (select hardware_id from core.calibration) as is_calibrated,
    hardware.hardware_id in (
        select hardware_id from core.measurement where model_id is not null
    ) as is_measured,
from core.hardware as hardware
where
    hardware.hardware_id in (select hardware_id from mart.kernel_roof where is_default and level = 'dram')
order by hardware.vendor, hardware.short_name, hardware.hardware_id
