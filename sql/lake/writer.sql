-- one row per writer of a lake
create table {schema}.writer (
    writer varchar not null,
    pushed_at timestamptz not null,
    run_id varchar not null,
    code_version varchar not null,
    costs_sha256 varchar not null
);
comment on table {schema}.writer is 'one row per writer of the lake: its last push that changed anything';
comment on column {schema}.writer.writer is 'name under which its home pushes';
comment on column {schema}.writer.pushed_at is 'when it pushed; later than all earlier pushes, whatever the clocks say';
comment on column {schema}.writer.run_id is 'run that it had published';
comment on column {schema}.writer.code_version is 'version of the package and digest of the code and SQL that ran';
comment on column {schema}.writer.costs_sha256 is 'digest of what computes costs: the formulas, and the cost of an element of other ops';
