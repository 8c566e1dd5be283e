-- one row per precision
select precision_id, compute_dtype, from core.precision order by precision_id
