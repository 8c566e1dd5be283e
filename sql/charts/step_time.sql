-- one row per context, batch and op group of a decode step on one device: a layer of the stack of least times
with
op_group as (
    select *, lower_bound_s as seconds,
    from mart.op_group_time
    where
        hardware_id = $hardware_id
        and model_id = $model_id
        and precision_id = $precision_id
        and convention = $convention
        and phase = 'decode'
        and batch_size in $batch_sizes
        and sequence_length in $sequence_lengths
        and tensor_parallel = $tensor_parallel
        and expert_parallel = 1
        and pipeline_parallel = 1
        and data_parallel = 1
),

-- the op group that takes the most time in the longest step is at the bottom
stacked as (
    select
        *,
        row_number() over layers as layer_number,
        count(*) over step as layers,
        sum(seconds) over layers as end_s,
        sum(seconds) over step as step_s,
        sum(compute_s) over step as step_compute_s,
        sum(interconnect_s) over step as step_interconnect_s,
    from (
        select *, arg_max(seconds, (batch_size, sequence_length)) over (partition by op_group) as longest_s,
        from op_group
    )
    window
        step as (partition by sequence_length, batch_size),
        layers as (
            partition by sequence_length, batch_size order by longest_s desc, op_group
            rows between unbounded preceding and current row
        )
),

held as (
    select
        batch_size,
        sequence_length,
        memory_bytes,
        fits_in_memory,
        -- a model that fits at no batch is shown anyway
        fits_in_memory or not bool_or(fits_in_memory) over (partition by sequence_length) as is_shown,
    from mart.step_time
    where
        hardware_id = $hardware_id
        and model_id = $model_id
        and precision_id = $precision_id
        and convention = $convention
        and phase = 'decode'
        and batch_size in $batch_sizes
        and sequence_length in $sequence_lengths
        and tensor_parallel = $tensor_parallel
        and expert_parallel = 1
        and pipeline_parallel = 1
        and data_parallel = 1
),

-- what no calibration covers would count at the roof: a step that is hardly covered is not expected to take so long
expected as (
    select
        batch_size,
        sequence_length,
        round(predicted_s * 1e3, 9) as expected_ms,
        transferred_from,
    from mart.predicted_step
    where
        model_id = $model_id
        and precision_id = $precision_id
        and convention = $convention
        and convention = 'engine'
        and phase = 'decode'
        and hardware_id = $hardware_id
        and batch_size in $batch_sizes
        and sequence_length in $sequence_lengths
        and tensor_parallel = $tensor_parallel
        and expert_parallel = 1
        and pipeline_parallel = 1
        and data_parallel = 1
        and is_default_launch
        and fusion = 'engine'
        and covered_share >= 0.9
)

select
    stacked.sequence_length,
    stacked.batch_size,
    stacked.op_group,
    stacked.ops,
    stacked.phase,
    format('{} {:.0f}%', stacked.op_group, 100 * stacked.seconds / stacked.step_s) as label,
    stacked.layer_number,
    round((stacked.end_s - stacked.seconds) * 1e3, 9) as start_ms,
    round(stacked.end_s * 1e3, 9) as end_ms,
    round((stacked.end_s - stacked.seconds / 2) * 1e3, 9) as middle_ms,
    round(stacked.seconds * 1e3, 9) as time_ms,
    round(stacked.step_s * 1e3, 9) as step_ms,
    round(stacked.seconds / stacked.step_s, 9) as share,
    round(stacked.step_compute_s / stacked.step_s, 9) as compute_bound_share,
    round(stacked.step_interconnect_s / stacked.step_s, 9) as interconnect_share,
    concat_ws(
        ' and ',
        if(stacked.memory_s > 0, 'memory', null),
        if(stacked.compute_s > 0, 'compute', null),
        if(stacked.interconnect_s > 0, 'interconnect', null)
    ) as bound,
    held.memory_bytes,
    hardware.memory_bytes as device_memory_bytes,
    held.fits_in_memory,
    held.is_shown,
    stacked.layer_number = stacked.layers as is_top,
    held.is_shown and stacked.batch_size = max(stacked.batch_size) filter (held.is_shown) over context as is_last,
    not held.fits_in_memory
    and stacked.batch_size = min(stacked.batch_size) filter (not held.fits_in_memory) over context
        as is_first_without_room,
    if($tensor_parallel > 1, format('{} × ', $tensor_parallel), '') || hardware.short_name as hardware,
    model.short_name as model,
    $precision_id as precision_id,
    $convention as convention,
    $tensor_parallel as tensor_parallel,
    roof.dtype,
    roof.basis,
    roof.peak_origin as origin,
    expected.expected_ms,
    expected.transferred_from,
    if(expected.expected_ms is null, null, 'expected') as estimate,
from stacked
inner join held using (batch_size, sequence_length)
left join expected using (batch_size, sequence_length)
cross join (select * from core.hardware where hardware_id = $hardware_id) as hardware
cross join (select * from core.model where model_id = $model_id) as model
cross join (
    select roof.*
    from mart.roof as roof
    inner join core.precision as precision on roof.dtype = precision.compute_dtype
    where
        roof.hardware_id = $hardware_id
        and roof.is_default
        and precision.precision_id = $precision_id
) as roof
window context as (partition by stacked.sequence_length)
order by stacked.sequence_length, stacked.batch_size, stacked.layer_number
