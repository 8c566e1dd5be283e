-- points at a roof, added up by op group: work, bytes and time of a group in a whole step. Columns that are not named here
-- are keys; of what has bytes at several levels, only the slowest point counts
create or replace macro mart.op_group_times(points) as table
with
timed as (
    select *, if(is_slowest, lower_bound_s * repeat, 0) as seconds,
    from query_table(points)
)

select
    * exclude (
        op, flops, bytes, activation_bytes, level, bound, lower_bound_s, repeat, idle_repeat, is_slowest, seconds
    ),
    string_agg(op, ', ' order by op) filter (is_slowest) as ops,
    coalesce(sum(flops * repeat) filter (is_slowest), 0) as flops,
    coalesce(sum(bytes * repeat) filter (level = 'dram'), 0) as bytes,
    coalesce(sum(bytes * repeat) filter (level = 'interconnect'), 0) as interconnect_bytes,
    sum(seconds) as lower_bound_s,
    coalesce(sum(seconds) filter (bound not in ('compute', 'interconnect')), 0) as memory_s,
    coalesce(sum(seconds) filter (bound = 'compute'), 0) as compute_s,
    coalesce(sum(seconds) filter (bound = 'interconnect'), 0) as interconnect_s,
    coalesce(max(activation_bytes) filter (level = 'dram'), 0) as live_bytes,
    coalesce(sum(timed.lower_bound_s * idle_repeat) filter (is_slowest), 0) as bubble_s,
from timed
group by all;
