-- one row per column of a table or view
select column_name, lower(data_type) as data_type, comment
from duckdb_columns()
where schema_name || '.' || table_name = $name
order by column_index
