-- one row per mark: the ridge, GEMMs and attention by context and batch, and where GEMMs cross the ridge
with
roof as (
    select roof.*
    from mart.roof as roof
    inner join core.precision as precision on roof.dtype = precision.compute_dtype
    where
        roof.hardware_id = $hardware_id
        and precision.precision_id = $precision_id
        and roof.is_default
),

point as (
    select
        'computed' as layer,
        phase,
        sequence_length,
        batch_size,
        op,
        op_group,
        flops,
        bytes,
        intensity_flops_per_byte,
        bound,
    from mart.roofline_point
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
        -- other kinds stay near 1 FLOP/byte at any batch
        and kind in ('linear', 'attention')
),

crossover as (
    select op, op_group, critical_tokens,
    from mart.crossover
    where
        hardware_id = $hardware_id
        and model_id = $model_id
        and precision_id = $precision_id
        and convention = $convention
        and tensor_parallel = $tensor_parallel
        and expert_parallel = 1
        and pipeline_parallel = 1
        and data_parallel = 1
        and op in (select op from point)
),

-- attention depends on the context, not on the batch: its label says what bounds it there
labelled as (
    select
        point.*,
        if(point.op_group = 'attention', null, crossover.critical_tokens) as critical_tokens,
        case
            when point.op_group <> 'attention'
                then coalesce(format('from {:,}', crossover.critical_tokens), 'never')
            when point.bound = 'compute' then 'at every batch'
            else 'never'
        end as answer,
    from point
    inner join crossover using (op, op_group)
),

crossing as (
    select
        'crossing' as layer,
        op,
        op_group,
        critical_tokens as batch_size,
        critical_tokens,
        format('from {:,}', critical_tokens) as answer,
        roof.ridge_flops_per_byte as intensity_flops_per_byte,
    from crossover
    cross join roof
    where
        op_group <> 'attention'
        and critical_tokens between (select min(batch_size) from point) and (select max(batch_size) from point)
),

ridge as (
    select
        'ridge' as layer,
        format('ridge {:.0f} FLOP/byte', ridge_flops_per_byte) as answer,
        ridge_flops_per_byte as intensity_flops_per_byte,
    from roof
    where exists (from point)
),

mark as (
    select * from ridge
    union all by name
    select * from labelled
    union all by name
    select * from crossing
)

select
    mark.*,
    if($tensor_parallel > 1, format('{} × ', $tensor_parallel), '') || hardware.short_name as hardware,
    model.short_name as model,
    $precision_id as precision_id,
    $convention as convention,
    $tensor_parallel as tensor_parallel,
    roof.dtype,
    roof.basis,
    roof.peak_origin as origin,
from mark
cross join roof
cross join (select * from core.hardware where hardware_id = $hardware_id) as hardware
cross join (select * from core.model where model_id = $model_id) as model
order by mark.layer, mark.sequence_length, mark.op_group, mark.op, mark.batch_size
