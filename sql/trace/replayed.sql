-- one row per kernel of a replay of a CUDA graph, with the leaf that was recorded at its place: in the recording with as
-- many launches, if all that have as many agree in their shapes. Nodes are numbered in the order of the recording.
create table replayed as
with
ordered as (
    select
        *,
        row_number() over in_order as place,
        count(*) over one_replay as kernels,
    from (
        select
            *,
            if(bool_and(process is not null) over (), process, null) as of_process,
        from placed_kernel
        where replay >= 0
    )
    window
        one_replay as (partition by of_process, replay),
        in_order as (partition by of_process, replay order by node, "start", row_id)
),

capture as (
    select
        recorded.capture,
        count(*) as kernels,
        hash(list(leaf.shape order by recorded.place)) as work,
    from recorded
    left join leaf on recorded.leaf = leaf.leaf
    group by recorded.capture
    order by recorded.capture desc
    limit $most_captures
),

certain as (
    select
        kernels,
        max(capture) as capture,
    from capture
    group by kernels
    having count(distinct work) = 1
)

select
    ordered.us,
    ordered.is_tf32,
    ordered.is_tensor,
    ordered.is_kernel,
    ordered.replay,
    recorded.leaf,
    recorded.name,
from ordered
left join certain on ordered.kernels = certain.kernels
left join recorded on certain.capture = recorded.capture and ordered.place = recorded.place
