-- one row per kernel, copy and fill: its leaf, and the name of the innermost op around it. A kernel has the id of that
-- op, or the correlation id of the call that launched it: of the process of its device, or, if that is not known, the
-- one that only one process has.
create table linked as
with
single as (
    select
        process,
        correlation,
        any_value(leaf) as leaf,
        any_value(name) as name,
        count(*) over (partition by correlation) = 1 as is_only,
    from launch
    where correlation >= 0
    group by process, correlation
    having count(*) = 1
),

found as (
    select
        kernel.*,
        op_leaf.leaf,
        op_leaf.name,
    from (from placed_kernel where replay < 0 and id >= 0 and process is not null) as kernel
    left join op_leaf on kernel.id = op_leaf.id and kernel.process = op_leaf.process
    union all
    select
        kernel.*,
        op_leaf.leaf,
        op_leaf.name,
    from (from placed_kernel where replay < 0 and id >= 0 and process is null) as kernel
    left join (from op_leaf where is_only) as op_leaf on kernel.id = op_leaf.id
    union all
    select
        kernel.*,
        single.leaf,
        single.name,
    from (from placed_kernel where replay < 0 and id < 0 and process is not null) as kernel
    left join single on kernel.correlation = single.correlation and kernel.process = single.process
    union all
    select
        kernel.*,
        single.leaf,
        single.name,
    from (from placed_kernel where replay < 0 and id < 0 and process is null) as kernel
    left join (from single where is_only) as single on kernel.correlation = single.correlation
)

select
    us,
    is_tf32,
    is_tensor,
    is_kernel,
    replay,
    leaf,
    name,
from found
union all
from replayed
