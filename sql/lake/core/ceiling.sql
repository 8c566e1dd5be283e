-- one row per limit of a device, basis, origin, pipe, accumulator and own name
create or replace view core.ceiling as
with
agreed as (
    select writer, id as hardware_id,
    from pushed.agreed
    where kind = 'device'
),

stated as (
    select *
    from pushed.ceiling
    inner join agreed using (writer, hardware_id)
    inner join (select writer, pushed_at, from pushed.writer) as push using (writer)
    qualify
        row_number() over (
            partition by
                hardware_id, kind, name, basis, origin, pipe, accumulator, ceiling_name
            order by pushed_at desc, writer
        ) = 1
)

-- several writers may have measured a device: one ceiling of a kind and name stays the default
select
    * exclude (writer, pushed_at) replace (
        is_default
        and row_number() over (
            partition by hardware_id, kind, name
            order by is_default desc, pushed_at desc, preference, origin
        ) = 1 as is_default,
        row_number() over (
            partition by hardware_id, kind, name, basis order by preference, pushed_at desc, origin
        ) as preference
    ),
from stated;
