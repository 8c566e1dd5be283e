-- one row per column of a table or view
select schema_name || '.' || table_name as object, column_name as name, lower(data_type) as type, comment
from duckdb_columns()
where schema_name in ('core', 'mart')
order by object, column_index
