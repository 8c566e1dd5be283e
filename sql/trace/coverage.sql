-- one row per name of an op, or of none: the time of its kernels, and the part that is in runs
create table coverage as
select
    linked.name,
    linked.name is null and linked.replay >= 0 as is_of_graph,
    sum(linked.us) as us,
    coalesce(sum(linked.us) filter (counted.leaf is not null), 0) as covered_us,
    count(*) filter (linked.is_kernel = 1) as kernels,
    count(*) filter (linked.is_kernel = 1 and counted.leaf is not null) as covered_kernels,
from linked
left join (select distinct leaf from run) as counted on linked.leaf = counted.leaf
group by all
