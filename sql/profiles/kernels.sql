-- one row per kernel of the profiles in a database, the one with the most headroom first
select * exclude (measurement_id, source_id)
from mart.profile_kernel
order by headroom_s desc nulls last, total_s desc, op, measurement_id
