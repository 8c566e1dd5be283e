-- one row per run of an op on the host, for a trace without a device
create table run as
select
    leaf,
    shape,
    process,
    us,
    false as is_tf32,
    false as is_tensor,
    'eager' as launch,
from leaf
where us between $shortest_us and $longest_us
