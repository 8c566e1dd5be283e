-- one row per op shape and precision, as before, without an index: it was three quarters of the file
-- and of the time to load it. sql/checks/duplicate_key.sql holds the key instead.
create table core.op_cost_without_index (
    shape_id bigint not null,
    precision_id varchar not null,
    flops double not null check (isfinite(flops) and flops >= 0),
    weight_bytes double not null check (isfinite(weight_bytes) and weight_bytes >= 0),
    activation_bytes double not null
        check (isfinite(activation_bytes) and activation_bytes >= 0),
    kv_bytes double not null check (isfinite(kv_bytes) and kv_bytes >= 0),
    bytes double not null check (isfinite(bytes) and bytes > 0),
    intensity_flops_per_byte double not null
        check (isfinite(intensity_flops_per_byte) and intensity_flops_per_byte >= 0)
);

insert into core.op_cost_without_index by name
select * from core.op_cost;

drop table core.op_cost;

alter table core.op_cost_without_index rename to op_cost;

comment on table core.op_cost is 'one row per op shape and precision: the work of one execution and the memory that it must move';
comment on column core.op_cost.shape_id is 'the shape';
comment on column core.op_cost.precision_id is 'the precision';
comment on column core.op_cost.flops is 'FLOP of one execution; 2 per multiply-add';
comment on column core.op_cost.weight_bytes is 'weights read';
comment on column core.op_cost.activation_bytes is 'activations read and written';
comment on column core.op_cost.kv_bytes is 'KV cache read';
comment on column core.op_cost.bytes is 'weights, activations and KV cache together';
comment on column core.op_cost.intensity_flops_per_byte is 'operational intensity: flops / bytes';
