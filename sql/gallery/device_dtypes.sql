-- one row per dtype that a device has a peak for, and whether the precision of a chart is computed in it
select distinct
    roof.dtype,
    roof.dtype = precision.compute_dtype as is_asked,
from mart.roof as roof
inner join core.precision as precision on precision.precision_id = $precision_id
where roof.hardware_id = $hardware_id
order by roof.dtype
