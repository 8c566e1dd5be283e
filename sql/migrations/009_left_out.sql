-- charts that a run left out, and entries of a user's gallery that cannot be used
alter table core.run add column left_out varchar[];
comment on column core.run.left_out is 'charts that the run left out, each with its file and the reason; empty where there were none, null where the run published nothing or is of an earlier version';

alter table core.own_chart add column fault varchar;
comment on column core.own_chart.fault is 'why the entry cannot be used; null where it can';
