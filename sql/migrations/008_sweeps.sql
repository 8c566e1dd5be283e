-- large grids whose op costs lie in Parquet files
create table core.sweep (
    sweep_id varchar primary key,
    folder varchar not null,
    row_count bigint not null check (row_count >= 0),
    models varchar[] not null,
    conventions varchar[] not null,
    phases varchar[] not null,
    precisions varchar[] not null,
    tensor_parallel_range varchar not null,
    batch_range varchar not null,
    sequence_range varchar not null,
    candidate_range varchar,
    code_version varchar not null,
    created_at timestamptz not null
);
comment on table core.sweep is 'one row per sweep: what its grid is, and where its files lie';
comment on column core.sweep.sweep_id is 'the sweep, by the name that it was given';
comment on column core.sweep.folder is 'folder of its files, relative to the home unless it lies elsewhere';
comment on column core.sweep.row_count is 'op costs of the sweep: rows of its files together';
comment on column core.sweep.models is 'models that were asked for; one whose heads cannot be shared evenly has no rows there';
comment on column core.sweep.conventions is 'conventions that were asked for';
comment on column core.sweep.phases is 'phases that were asked for';
comment on column core.sweep.precisions is 'precisions that were asked for';
comment on column core.sweep.tensor_parallel_range is 'numbers of devices, as they were given';
comment on column core.sweep.batch_range is 'batch sizes, as they were given';
comment on column core.sweep.sequence_range is 'sequence lengths, as they were given';
comment on column core.sweep.candidate_range is 'candidates of speculative steps, as they were given';
comment on column core.sweep.code_version is 'version of the package and digest of the code and SQL that ran';
comment on column core.sweep.created_at is 'when it was registered';

create table core.sweep_part (
    sweep_id varchar not null,
    path varchar not null,
    row_count bigint not null check (row_count > 0),
    size_bytes bigint not null check (size_bytes > 0),
    primary key (sweep_id, path)
);
comment on table core.sweep_part is 'one row per Parquet file of a sweep';
comment on column core.sweep_part.sweep_id is 'the sweep, by the name that it was given';
comment on column core.sweep_part.path is 'file, relative to the sweep''s folder; its name is a digest of what it is computed from';
comment on column core.sweep_part.row_count is 'rows of the file';
comment on column core.sweep_part.size_bytes is 'size of the file';
