-- one row per chart of $entries, a list of charts in JSON, that has something to draw: its place
with
entry as materialized (
    select
        * replace (
            coalesce(devices, [hardware_id]) as devices,
            if(batch_size is null, batch_sizes, [batch_size]) as batch_sizes,
            if(sequence_length is null, sequence_lengths, [sequence_length]) as sequence_lengths
        ),
        -- a kernel of the user's may have no phase
        case template
            when 'house' then ['prefill', 'decode', '']
            when 'paper' then ['prefill', 'decode']
            when 'speculative' then ['decode', 'speculative']
            when 'crossover' then ['decode']
            when 'step_time' then ['decode']
            when 'throughput' then ['decode']
            when 'ranking' then ['decode']
        end as phases,
    from (
        select unnest(
            from_json(
                $entries,
                '[{
                    "place": "integer", "template": "varchar", "marks": "varchar",
                    "hardware_id": "varchar", "devices": ["varchar"], "model_id": "varchar",
                    "precision_id": "varchar", "dtype": "varchar", "bases": ["varchar"],
                    "convention": "varchar", "else_fastest": "boolean", "op_groups": ["varchar"], "tensor_parallel": "bigint",
                    "batch_size": "bigint", "batch_sizes": ["bigint"],
                    "sequence_length": "bigint", "sequence_lengths": ["bigint"]
                }]'
            ),
            max_depth := 2
        )
    )
),

-- each chart with each of its devices; of those that show every device, with one that has a roof
shown as materialized (
    select * exclude (devices), unnest(devices) as device,
    from entry
    where template <> 'ranking' or devices <> [null]
    union all by name
    select entry.* exclude (devices), min(roof.hardware_id) as device,
    from entry
    inner join core.precision as precision using (precision_id)
    inner join mart.roof as roof on precision.compute_dtype = roof.dtype
    where entry.template = 'ranking' and entry.devices = [null] and roof.is_default
    group by all
),

with_roof as materialized (
    select shown.*, precision.compute_dtype,
    from shown
    inner join core.precision as precision using (precision_id)
    semi join mart.roof as roof
        on shown.device = roof.hardware_id
        and precision.compute_dtype = roof.dtype
        and if(shown.template = 'paper', list_contains(shown.bases, roof.basis), roof.is_default)
),

-- the ops of a model at one setting are computed in the same precisions, so one of them stands for all; not the user's
setting as (
    select
        model_id,
        convention,
        tensor_parallel,
        phase,
        batch_size,
        sequence_length,
        if(convention = 'custom', shape_id, null) as own_id,
        min(shape_id) as shape_id,
        list(distinct op_group) as op_groups,
    from core.op_shape
    where expert_parallel = 1 and pipeline_parallel = 1 and data_parallel = 1
    group by all
),

with_ops as (
    select with_roof.place,
    from with_roof
    inner join setting
        on with_roof.model_id = setting.model_id
        and with_roof.convention = setting.convention
        and with_roof.tensor_parallel = setting.tensor_parallel
    semi join core.op_cost as cost
        on setting.shape_id = cost.shape_id
        and with_roof.precision_id = cost.precision_id
    where
        with_roof.marks in ('computed', 'nearest', 'predicted')
        and list_contains(with_roof.phases, coalesce(setting.phase, ''))
        and (with_roof.batch_sizes is null or list_contains(with_roof.batch_sizes, setting.batch_size))
        and (
            with_roof.sequence_lengths is null
            or list_contains(with_roof.sequence_lengths, setting.sequence_length)
        )
        and (with_roof.op_groups is null or list_has_any(with_roof.op_groups, setting.op_groups))
        and (
            with_roof.marks <> 'predicted'
            or (with_roof.device, with_roof.compute_dtype) in (
                select (calibration.hardware_id, calibration.dtype) from core.calibration as calibration
            )
        )
        -- devices that share a model need a link between them
        and (
            with_roof.tensor_parallel = 1
            or with_roof.template not in ('step_time', 'throughput', 'ranking')
            or with_roof.device in (
                select link.hardware_id from core.ceiling as link where link.name = 'interconnect'
            )
        )
),

with_kernels as (
    select with_roof.place,
    from with_roof
    inner join core.measurement as kernel
        on with_roof.device = kernel.hardware_id
        and with_roof.model_id = kernel.model_id
        and with_roof.compute_dtype = kernel.dtype
        and with_roof.tensor_parallel = kernel.tensor_parallel
    where
        kernel.level = 'dram'
        and kernel.flops > 0
        and case with_roof.marks
            when 'measured'
                then
                    kernel.kind in ('linear', 'qk', 'pv')
                    and coalesce(with_roof.batch_size = kernel.batch_size, true)
                    and coalesce(with_roof.sequence_length = kernel.sequence_length, true)
            when 'compared'
                then
                    kernel.op_group <> 'ceiling'
                    and if(
                        kernel.kind = 'linear',
                        kernel.m = with_roof.batch_size * if(kernel.phase = 'prefill', with_roof.sequence_length, 1),
                        (with_roof.batch_size, with_roof.sequence_length)
                        = (kernel.batch_size, kernel.sequence_length)
                    )
        end
)

select place from with_ops
union
-- a device's own ceilings are drawn even if none of the points can be
select place,
from shown
semi join mart.roof as roof on shown.device = roof.hardware_id
where template = 'house' and marks = 'computed' and else_fastest
union
-- each op of a file has a precision of its own
select shown.place,
from shown
inner join core.op_shape as shape on shown.model_id = shape.model_id and shown.convention = shape.convention
inner join core.op_cost as cost using (shape_id)
inner join core.precision as precision on cost.precision_id = precision.precision_id
semi join mart.roof_by_level as roof
    on shown.device = roof.hardware_id
    and precision.compute_dtype = roof.dtype
    and shape.level = roof.level
where shown.template = 'house' and shown.marks = 'computed' and shown.convention = 'custom' and cost.flops > 0
union
select shown.place,
from shown
inner join core.measurement as kernel on shown.device = kernel.hardware_id
where
    kernel.source_id not like 'shipped/%'
    and kernel.op_group <> 'ceiling'
    and (
        shown.template = 'house' and shown.marks = 'kernels' and kernel.flops > 0
        or shown.template = 'copies' and kernel.flops = 0
    )
union
select place from entry where template = 'house' and marks = 'profile' and hardware_id is not null
union
select place from with_kernels
union
select shown.place,
from shown
inner join mart.roof as roof on shown.device = roof.hardware_id and shown.dtype = roof.dtype
where shown.template = 'comparison' and roof.is_default
union
select shown.place,
from shown
inner join core.measurement as kernel on shown.device = kernel.hardware_id
semi join mart.roof as roof
    on kernel.hardware_id = roof.hardware_id
    and kernel.dtype = roof.dtype
    and roof.is_default
where
    shown.template = 'heat'
    and kernel.op_group <> 'ceiling'
    and kernel.flops > 0
    and kernel.level = 'dram'
union
select shown.place,
from shown
inner join core.measurement as kernel on shown.device = kernel.hardware_id
semi join core.calibration as calibration
    on kernel.hardware_id = calibration.hardware_id
    and mart.calibrated_kind(kernel.kind, kernel.op, kernel.matrices, kernel.kv_heads, kernel.head_dim)
    = calibration.op_kind
    and kernel.dtype = calibration.dtype
where
    kernel.level = 'dram'
    and (shown.template = 'accuracy' or shown.template = 'residuals' and kernel.flops > 0)
union
select place,
from entry
where
    template = 'engines'
    and exists (from mart.measured_serving as run where run.share_of_bound <= 1)
union
select place,
from entry
where phases is null and template not in ('comparison', 'heat', 'accuracy', 'residuals', 'copies', 'engines')
order by place
