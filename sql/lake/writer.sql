-- one row per writer of a lake
create table {schema}.writer (
    writer varchar not null,
    pushed_at timestamptz not null,
    run_id varchar not null,
    code_version varchar not null,
    costs_sha256 varchar not null
);
comment on table {schema}.writer is 'one row per writer of the lake: its last push that changed anything';
comment on column {schema}.writer.writer is 'name that its home pushes under';
comment on column {schema}.writer.pushed_at is 'when it pushed, later than every push before it';
comment on column {schema}.writer.run_id is 'run that it had published';
comment on column {schema}.writer.code_version is 'version of the package and digest of the code and SQL that ran';
comment on column {schema}.writer.costs_sha256 is 'digest of what costs are computed by: the formulas, and what an element of the other ops costs';
