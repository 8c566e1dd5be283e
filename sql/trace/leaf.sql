-- one row per op that is counted, and contains no other that is. A pass over tensors gives way to a product, attention or
-- a convolution, inside of it or around it, and has the passes that it contains. Ops of one process whose id occurs twice are left out: their kernels cannot be
-- assigned. Ends are rounded, so an op is inside of another if its middle is.
create table leaf as
with
work as (
    select
        *,
        lead("start" + us / 2) over (partition by thread order by "start", us desc, row_id) as next_middle,
    from op
    where shape >= 0 and is_move = 0
    qualify next_middle is null or next_middle >= "start" + us
),

move as (
    select
        *,
        max("start" + us) over (
            partition by thread
            order by "start", us desc, row_id rows between unbounded preceding and 1 preceding
        ) as end_before,
    from op
    where shape >= 0 and is_move = 1
    qualify end_before is null or end_before <= "start" + us / 2
),

both_kinds as (
    select * exclude (next_middle)
    from work
    union all
    select move.* exclude (end_before)
    from move
    asof left join work on move.thread = work.thread and move."start" >= work."start"
    where work.row_id is null or move."start" + move.us / 2 > work."start" + work.us or move.us > work.us
),

alone as (
    select
        *,
        lead("start" + us / 2) over (partition by thread order by "start", us desc, row_id) as next_middle,
    from both_kinds
    qualify next_middle is null or next_middle >= "start" + us
)

select
    row_number() over (order by alone.thread, alone."start", alone.us desc, alone.row_id) - 1 as leaf,
    alone.* exclude (next_middle),
from alone
anti join repeated_id on alone.process = repeated_id.process and alone.id = repeated_id.id
