-- one row per row of the table that was touched; the table becomes equal to a Parquet file
merge into {table} as old
using (select {columns} from read_parquet($path)) as new
using ({keys})
when matched and old is distinct from new then update by name
when not matched then insert by name
when not matched by source then delete
returning merge_action
