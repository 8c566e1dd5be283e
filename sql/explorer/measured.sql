-- one row per device, model, op, setting and dtype: the fastest kernel that was measured there
select
    hardware_id,
    model_id,
    phase,
    op,
    batch_size,
    sequence_length,
    query_length,
    tensor_parallel,
    dtype,
    arg_min(op_group, latency_s) as op_group,
    min(latency_s) as seconds,
    arg_min(flops, latency_s) as flops,
    arg_min(bytes, latency_s) as bytes,
    arg_min(lower_bound_s, latency_s) as lower_bound_s,
    arg_min(software, latency_s) as software,
    arg_min(method, latency_s) as method,
from mart.measured_point
where model_id is not null and level = 'dram' and lower_bound_s is not null
group by all
order by all
