-- one row per hardware, model, convention, precision, setting, op group and spot on the default roof
create or replace view mart.roofline_mark as
select
    hardware_id,
    model_id,
    convention,
    precision_id,
    phase,
    batch_size,
    sequence_length,
    query_length,
    tensor_parallel,
    op_group,
    series,
    string_agg(op, ', ' order by op) as ops,
    max(flops) as flops,
    max(bytes) as bytes,
    intensity_flops_per_byte,
    attainable_flops_per_s,
    max(lower_bound_s) as lower_bound_s,
    bound,
    dtype,
    level,
    pipe,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
from mart.roofline_point
group by all;

comment on view mart.roofline_mark is 'one row per hardware, model, convention, precision, setting, op group and spot: ops of one group at one spot are one mark on a chart, with the work, bytes and time of the largest of them';
comment on column mart.roofline_mark.ops is 'the operators of the row';
