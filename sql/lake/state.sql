-- one row per lake: the version of its tables and of its views
create table pushed.lake (
    schema_version integer not null,
    tables_sha256 varchar not null,
    views_sha256 varchar not null
);
comment on table pushed.lake is 'one row: the version of the tables and views of this lake';
comment on column pushed.lake.schema_version is 'migration of the homes that push here';
comment on column pushed.lake.tables_sha256 is 'digest of that migration''s statements';
comment on column pushed.lake.views_sha256 is 'digest of the SQL of the views';
