-- one row per precision whose arithmetic runs in one dtype: a setting of the explorer has one roof
select
    precision_id,
    compute_dtype as dtype,
from core.precision as precision
where not exists (
    select * from core.precision_part as apart
    where apart.precision_id = precision.precision_id and apart.compute_dtype <> precision.compute_dtype
)
order by weight_bits desc, activation_bits desc, kv_bits desc, precision_id
