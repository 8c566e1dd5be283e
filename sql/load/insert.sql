-- one row: how many rows an empty table was filled with from a Parquet file
insert into {table} by name
select {columns}
from read_parquet($path)
