-- one row per table or view
select schema_name || '.' || table_name as name, 'table' as kind, comment from duckdb_tables() where schema_name = 'core'
union all
select schema_name || '.' || view_name as name, 'view' as kind, comment from duckdb_views() where schema_name = 'mart'
order by kind desc, name
