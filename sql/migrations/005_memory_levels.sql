-- measurements of the bytes of one memory level
alter table core.measurement add column level varchar default 'dram';
alter table core.measurement alter column level set not null;
comment on column core.measurement.level is 'memory level whose bytes were counted: dram, l2 or l1';
