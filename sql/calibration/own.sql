-- one row per device, kind of op and dtype whose calibration was fitted to other measurements than AIConfigurator's tables
select distinct hardware_id, op_kind, dtype
from core.calibration
where
    transferred_from is null
    and fitted_kind = op_kind
    and fitted_dtype = dtype
    and fitted_launch = launch
    and not contains(origin, 'aiconfigurator-core')
order by all
