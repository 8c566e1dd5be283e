-- charts that a run left out, and entries of a user's gallery that cannot be used
create table core.run_left_out (
    run_id varchar not null,
    place integer not null check (place >= 1),
    file varchar not null,
    name varchar not null,
    reason varchar not null,
    primary key (run_id, place)
);
comment on table core.run_left_out is 'one row per run and chart that it left out of the site';
comment on column core.run_left_out.run_id is 'the run';
comment on column core.run_left_out.place is 'place in the run''s list, from 1';
comment on column core.run_left_out.file is 'the gallery that the chart stands in';
comment on column core.run_left_out.name is 'name of the chart, or its place in the file';
comment on column core.run_left_out.reason is 'why it could not be drawn';

alter table core.own_chart add column fault varchar;
comment on column core.own_chart.fault is 'why the entry cannot be used; null where it can';
