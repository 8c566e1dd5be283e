-- one row per precision
select
    precision_id,
    compute_dtype as dtype,
from core.precision
order by weight_bits desc, activation_bits desc, kv_bits desc, precision_id
