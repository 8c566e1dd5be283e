-- one row per lake: what its tables and its views are made for
create table pushed.lake (
    schema_version integer not null,
    views_sha256 varchar not null
);
comment on table pushed.lake is 'one row: what the tables and views of this lake are made for';
comment on column pushed.lake.schema_version is 'last migration of the homes that push here';
comment on column pushed.lake.views_sha256 is 'digest of the SQL of the views';
