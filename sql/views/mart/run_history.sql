-- one row per run
create or replace view mart.run_history as
with
run as (
    select * from core.run
),

change as (
    select
        run_id,
        sum(rows)::bigint as rows,
        sum(inserted)::bigint as rows_inserted,
        sum(updated)::bigint as rows_updated,
        sum(deleted)::bigint as rows_deleted,
        string_agg(
            format(
                '{} +{} ~{} -{}', table_name, inserted, updated, deleted
            ), ', ' order by table_name
        ) filter (inserted + updated + deleted > 0) as changed,
    from core.run_change
    group by run_id
),

left_out as (
    select
        run_id,
        string_agg(
            format('{}: {}: {}', file, name, reason), '; ' order by place
        ) as left_out,
    from core.run_left_out
    group by run_id
)

select
    run.run_id,
    run.run_number,
    run.started_at,
    run.finished_at,
    (epoch_us(run.finished_at) - epoch_us(run.started_at)) / 1e6 as seconds,
    run.status,
    change.rows,
    change.rows_inserted,
    change.rows_updated,
    change.rows_deleted,
    coalesce(change.changed, 'nothing') as changed,
    run.error,
    run.code_version,
    run.inputs_sha256,
    run.flow_run_id,
    coalesce(left_out.left_out, 'nothing') as left_out,
from run
left join change using (run_id)
left join left_out using (run_id);

comment on view mart.run_history is 'one row per run: how it ended, how long it took and what it changed; a run that published nothing appears with the next publication';
comment on column mart.run_history.seconds is 'time from start to end';
comment on column mart.run_history.rows is 'rows in all tables after the run';
comment on column mart.run_history.rows_inserted is 'rows that the run inserted';
comment on column mart.run_history.rows_updated is 'rows that the run updated';
comment on column mart.run_history.rows_deleted is 'rows that the run deleted';
comment on column mart.run_history.changed is 'the tables that the run changed, with rows inserted (+), updated (~) and deleted (-)';
comment on column mart.run_history.left_out is 'the charts that the run left out of the site, each with its file and the reason';
