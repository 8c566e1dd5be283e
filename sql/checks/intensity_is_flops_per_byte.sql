-- one row per cost whose intensity is not flops / bytes, or whose bytes are not the sum of their parts
select *
from core.op_cost
where
    abs(intensity_flops_per_byte * bytes - flops) > 1e-9 * flops
    or abs(weight_bytes + activation_bytes + kv_bytes + state_bytes - bytes) > 1e-9 * bytes
