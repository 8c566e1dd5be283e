-- one row per launch that was recorded into a CUDA graph, and its place there. It started no kernel. Those between the
-- same begin and end are of one graph; without such calls, all are.
create table recorded as
with
bound as (
    select
        process,
        "start",
        kind,
        row_number() over (order by "start", row_id) as capture,
    from call
    where kind in ($begin, $end)
),

inside as (
    select
        launch.*,
        coalesce(bound.capture, 0) as capture,
    from launch
    asof left join bound on launch.process = bound.process and launch."start" >= bound."start"
    anti join (from placed_kernel where replay = -1) as started on launch.correlation = started.correlation
    where bound.kind = $begin or not exists (from bound)
)

select
    capture,
    row_number() over (partition by capture order by "start", row_id) as place,
    leaf,
    name,
from inside
