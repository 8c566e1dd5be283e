-- one row per run of an op on the device, alone or in a replay of a CUDA graph; times that no op takes are left out
create table run as
with
summed as (
    select
        leaf,
        replay,
        sum(us) as us,
        max(is_tf32) = 1 as is_tf32,
        max(is_tensor) = 1 as is_tensor,
    from linked
    where leaf is not null
    group by leaf, replay
)

select
    summed.leaf,
    leaf.shape,
    leaf.process,
    summed.us,
    summed.is_tf32 and list_contains($of_fp32, leaf.shape) as is_tf32,
    summed.is_tensor,
    if(summed.replay < 0, 'eager', 'graph') as launch,
from summed
inner join leaf on summed.leaf = leaf.leaf
where summed.us between $shortest_us and $longest_us
