-- one row per precision and dtype that its arithmetic runs in, that of most parts of a model first
select
    precision.precision_id,
    needed.dtype,
from core.precision as precision
inner join mart.precision_dtype as needed using (precision_id)
order by
    precision.weight_bits desc,
    precision.activation_bits desc,
    precision.kv_bits desc,
    precision.precision_id,
    needed.dtype <> precision.compute_dtype,
    needed.dtype
