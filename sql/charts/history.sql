-- one row per run
select
    run_number,
    run_id,
    strftime(started_at, '%Y-%m-%dT%H:%M:%S.%gZ') as started_at,
    round(seconds, 3) as seconds,
    status,
    rows,
    coalesce(rows_inserted, 0) as rows_inserted,
    coalesce(rows_updated, 0) as rows_updated,
    coalesce(rows_deleted, 0) as rows_deleted,
    changed,
    error,
    code_version,
from mart.run_history
where seconds is not null
order by run_number
