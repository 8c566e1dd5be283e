-- Where do the figures of a roof come from?
select hardware_id, dtype, basis, is_default, peak_origin, bandwidth_origin, note
from mart.roof
where dtype in ('fp16', 'bf16')
order by hardware_id, dtype, basis
