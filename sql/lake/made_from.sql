-- one row per table of a home, and the digest of what its rows were made from when a run was published
select
    change.table_name,
    arg_max(change.inputs_sha256, run.run_number) as inputs_sha256,
from home.core.run_change as change
inner join home.core.run as run using (run_id)
where run.run_number <= (select run_number, from home.core.run where run_id = $run_id)
group by all
