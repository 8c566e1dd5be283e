-- one row per small table that is often loaded anew with equal rows: their number and a digest of what views read of them
select 'core.own_chart' as table_name, count(*) as row_count, sum(hash(own_chart)) as digest
from core.own_chart as own_chart
union all
select 'core.serving_estimate', count(*), sum(hash(serving_estimate))
from core.serving_estimate as serving_estimate
union all
-- no view reads the size, the digest and the date of a file
select 'core.source', count(*), sum(hash(source))
from (
    select * exclude (sha256, size_bytes, ingested_at)
    from core.source
) as source
