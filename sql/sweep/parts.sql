-- one row per op shape and precision of one sweep, as mart.sweep_cost reads it; files of earlier versions lack columns
union all by name
select $sweep_id as sweep_id, *,
from read_parquet($files, hive_partitioning = true, hive_types_autocast = false)
