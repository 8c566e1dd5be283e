-- one row per comment on a table or on a column of one: the name of the table, and the statement that makes the comment
with comments as (
    select table_name, -1 as place, 'table core.' || table_name as object, comment
    from duckdb_tables()
    where schema_name = 'core'
    union all
    select table_name, column_index, format('column core.{}."{}"', table_name, column_name), comment
    from duckdb_columns()
    where schema_name = 'core'
)

select
    'core.' || table_name as name,
    format('comment on {} is ''{}'';', object, replace(comment, '''', '''''')) as statement,
from comments
where comment is not null
order by table_name, place
