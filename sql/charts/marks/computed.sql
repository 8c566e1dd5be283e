-- one row per point of a model on a device's roof, computed from shapes
select
    'computed' as layer,
    hardware_id,
    model_id,
    dtype,
    level,
    pipe,
    '' as accumulator,
    series,
    ops,
    op_group,
    null::varchar as name,
    phase,
    batch_size,
    sequence_length,
    query_length,
    tensor_parallel,
    flops,
    bytes,
    intensity_flops_per_byte,
    attainable_flops_per_s as performance_flops_per_s,
    lower_bound_s,
    bound,
from mart.roofline_mark
where
    hardware_id in ($hardware_id)
    and model_id = $model_id
    and precision_id = $precision_id
    and convention = $convention
    and ($batch_size is null or batch_size = $batch_size)
    and ($sequence_length is null or sequence_length = $sequence_length)
    and tensor_parallel = $tensor_parallel
    and expert_parallel = 1
    and pipeline_parallel = 1
    and data_parallel = 1
    and convention <> 'custom'
union all
-- each op of a file is a point of its own, in its own precision, even if the device has no roof for it
select
    'computed' as layer,
    device.hardware_id,
    shape.model_id,
    cost.compute_dtype as dtype,
    shape.level,
    shape.pipe,
    '' as accumulator,
    shape.op_group as series,
    shape.op as ops,
    shape.op_group,
    shape.op as name,
    shape.phase,
    null as batch_size,
    null as sequence_length,
    null as query_length,
    null as tensor_parallel,
    cost.flops,
    cost.bytes,
    cost.intensity_flops_per_byte,
    mart.roof_flops_per_s(
        roof.peak_flops_per_s, roof.bandwidth_bytes_per_s, cost.intensity_flops_per_byte
    ) as performance_flops_per_s,
    mart.roof_time_s(roof.peak_flops_per_s, roof.bandwidth_bytes_per_s, cost.flops, cost.bytes)
        as lower_bound_s,
    mart.roof_bound(cost.intensity_flops_per_byte, roof.ridge_flops_per_byte, shape.level) as bound,
from core.op_shape as shape
inner join core.op_cost as cost using (shape_id)
cross join core.hardware as device
left join mart.kernel_roof as roof
    on
        device.hardware_id = roof.hardware_id
        and cost.compute_dtype = roof.dtype
        and shape.level = roof.level
        and shape.pipe = roof.kernel_pipe
        and roof.kernel_accumulator = ''
        and roof.is_default
where
    $convention = 'custom'
    and shape.convention = 'custom'
    and shape.model_id = $model_id
    and device.hardware_id in ($hardware_id)
