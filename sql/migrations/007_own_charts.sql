-- one row per chart of the user's own gallery
create table core.own_chart (
    source_id varchar not null,
    chart_number integer not null check (chart_number >= 1),
    name varchar not null,
    template varchar not null,
    entry varchar not null,
    primary key (source_id, chart_number)
);
comment on table core.own_chart is 'one row per chart of the user''s own gallery (gallery.toml in a catalog)';
comment on column core.own_chart.source_id is 'the input file';
comment on column core.own_chart.chart_number is 'place in its file, from 1';
comment on column core.own_chart.name is 'name of the chart, or of the charts, where fields stand in braces';
comment on column core.own_chart.template is 'what draws it: a query of sql/charts, or query for one of its own';
comment on column core.own_chart.entry is 'the entry''s other fields, as JSON';

-- a gallery is one more kind of input file
create table core.source_with_galleries (
    source_id varchar primary key,
    kind varchar not null check (
        kind in (
            'hardware', 'model', 'workload', 'precision', 'elementwise', 'ops', 'measurement',
            'calibration', 'gallery'
        )
    ),
    path varchar not null,
    sha256 varchar not null check (length(sha256) = 64),
    size_bytes bigint not null check (size_bytes >= 0),
    origin varchar not null,
    license varchar,
    ingested_at timestamptz not null
);

insert into core.source_with_galleries by name
select * from core.source;

drop table core.source;

alter table core.source_with_galleries rename to source;

comment on table core.source is 'one row per input file of the published run';
comment on column core.source.source_id is 'catalog (shipped, home or given), kind and file name without its ending';
comment on column core.source.kind is 'what the file describes';
comment on column core.source.path is 'where the file lies, relative to its catalog''s home';
comment on column core.source.sha256 is 'digest of the file''s bytes';
comment on column core.source.size_bytes is 'size of the file';
comment on column core.source.origin is 'who published the figures, and where';
comment on column core.source.license is 'licence of the file, where it states one';
comment on column core.source.ingested_at is 'start of the run that first read these bytes';
