-- one row per mark of a roofline: ends of ceilings and roofs, ridges, and points with the roof that each is held against
with
kernel as materialized (
    select * exclude (attainable_flops_per_s, roof_fraction)
    from (
        select *
        from (
{points}
        )
        union all by name
        select *
        from (
{none}
        )
    )
    -- verifying candidates has a chart of its own
    where model_id is null or phase is distinct from 'speculative'
),

-- points of a query are in one chart, whatever their devices; of other points each device has a chart of its own
device as materialized (
    select
        hardware_id,
        short_name,
        if($marks = 'own', '', hardware_id) as chart,
        count(*) over (partition by chart) = 1 as is_alone,
    from core.hardware
    where hardware_id in ($hardware_id) or hardware_id in (select hardware_id from kernel)
),

-- a condition on named devices is much faster than one on those that a query has
roof_of_kernel as materialized (
    select *
    from mart.kernel_roof
    where is_default and hardware_id in ($hardware_id)
    union all
    select *
    from mart.kernel_roof
    where $marks = 'own' and is_default and hardware_id not in ($hardware_id)
),

-- what points are held against that name no dtype: the chart's precision, or else the fastest 16-bit dtype, or any
main as materialized (
    select *
    from roof_of_kernel
    semi join device using (hardware_id)
    where level = 'dram' and kernel_pipe = '' and kernel_accumulator = ''
    qualify row_number() over (
        partition by hardware_id
        order by
            dtype = (
                select compute_dtype from core.precision where precision_id = $precision_id
            ) desc nulls last,
            dtype in ('bf16', 'fp16') desc,
            peak_flops_per_s desc,
            dtype desc
    ) = 1
),

held as materialized (
    select
        kernel.* replace (coalesce(kernel.dtype, main.dtype) as dtype),
        roof.basis,
        roof.peak_flops_per_s,
        roof.bandwidth_bytes_per_s,
        roof.ridge_flops_per_byte,
        roof.peak_origin as origin,
        roof.pipe as roof_pipe,
        roof.accumulator as roof_accumulator,
        roof.ceiling_name,
        mart.roof_flops_per_s(
            roof.peak_flops_per_s, roof.bandwidth_bytes_per_s, kernel.intensity_flops_per_byte
        ) as attainable_flops_per_s,
        -- a kernel without arithmetic has no share of a roof of arithmetic
        kernel.performance_flops_per_s / nullif(attainable_flops_per_s, 0) as roof_fraction,
        -- a computed point lies on its roof up to rounding
        roof_fraction > 1 + 1e-9 as is_above_roof,
        case
            when roof.peak_flops_per_s is null and kernel.performance_flops_per_s is null
                then 'no roof'
            when kernel.intensity_flops_per_byte is null or kernel.performance_flops_per_s is null
                then 'null'
            when isnan(kernel.intensity_flops_per_byte) or isnan(kernel.performance_flops_per_s)
                then 'not a number'
            when isinf(kernel.intensity_flops_per_byte) or isinf(kernel.performance_flops_per_s)
                then 'infinite'
            when kernel.intensity_flops_per_byte > 0 and kernel.performance_flops_per_s > 0 then null
            when kernel.intensity_flops_per_byte < 0 or kernel.performance_flops_per_s < 0
                then 'negative'
            else 'zero'
        end as not_drawn,
    from kernel
    left join main using (hardware_id)
    -- a device may lack the dtype, or a bandwidth of the level
    left join roof_of_kernel as roof
        on
            kernel.hardware_id = roof.hardware_id
            and coalesce(kernel.dtype, main.dtype) = roof.dtype
            and kernel.level = roof.level
            and kernel.pipe = roof.kernel_pipe
            and kernel.accumulator = roof.kernel_accumulator
),

-- the slowest published ceiling that a compute-bound point above its roof stays below
faster as (
    select
        held.hardware_id,
        held.performance_flops_per_s,
        mart.faster_ceiling(
            'another dtype', min_by(ceiling.name, ceiling.value_per_s), min(ceiling.value_per_s)
        ) as cause,
    from held
    inner join core.ceiling as ceiling
        on held.hardware_id = ceiling.hardware_id and held.performance_flops_per_s <= ceiling.value_per_s
    where
        held.is_above_roof
        and held.likely_cause is null
        and ceiling.kind = 'compute'
        and ceiling.basis = 'datasheet'
    group by held.hardware_id, held.performance_flops_per_s
),

point as materialized (
    select
        held.*
        replace (
            case
                when held.bound is not null then held.bound
                when held.ridge_flops_per_byte is not null then
                    -- the levels of memory are told apart by binding_level
                    mart.roof_bound(
                        held.intensity_flops_per_byte,
                        held.ridge_flops_per_byte,
                        if(held.level = 'interconnect', held.level, 'dram')
                    )
            end as bound,
            case
                when held.is_above_roof is distinct from true then null
                when held.likely_cause is not null then held.likely_cause
                -- bytes that come from a cache lift no point above the compute ceiling
                when held.performance_flops_per_s > held.peak_flops_per_s
                    then coalesce(faster.cause, 'not known')
                when held.level = 'dram' then 'part of its bytes came from a cache'
                else 'not known'
            end as likely_cause,
            nullif(held.pipe, '') as pipe,
            if(held.not_drawn is null, held.layer, 'not drawn') as layer
        ),
        coalesce(held.name, held.op_group) as label,
        -- one kernel that was counted at several levels has one performance
        if(
            min(held.level) over same < max(held.level) over same,
            format('{} at {}', held.ops, held.performance_flops_per_s),
            null
        ) as kernel,
        if(
            count(*) over same = count(held.roof_fraction) over same,
            -- no level binds a kernel that is compute-bound at each
            arg_max(held.level, held.roof_fraction) filter (
                where held.intensity_flops_per_byte < held.ridge_flops_per_byte
            ) over same,
            null
        ) as binding_level,
    from held
    left join faster using (hardware_id, performance_flops_per_s)
    window same as (
        partition by held.hardware_id, held.dtype, held.pipe, held.ops, held.performance_flops_per_s
    )
),

-- charts with a point to draw
drawn as materialized (
    select distinct device.chart
    from point
    inner join device using (hardware_id)
    where point.not_drawn is null
),

-- the roofs that points are held against, or else the main one
used as materialized (
    select distinct
        hardware_id,
        dtype,
        level,
        basis,
        peak_flops_per_s,
        bandwidth_bytes_per_s,
        origin,
        roof_pipe as pipe,
        roof_accumulator as accumulator,
        ceiling_name,
    from point
    where not_drawn is null and peak_flops_per_s is not null
    union all
    select
        hardware_id,
        dtype,
        'dram',
        basis,
        peak_flops_per_s,
        bandwidth_bytes_per_s,
        peak_origin,
        pipe,
        accumulator,
        ceiling_name,
    from main
    inner join device using (hardware_id)
    anti join drawn using (chart)
),

-- of a single device all ceilings are drawn, of several only the roofs that are used
compute as materialized (
    select
        ceiling.hardware_id,
        ceiling.name as dtype,
        ceiling.basis,
        ceiling.origin,
        ceiling.pipe,
        ceiling.accumulator,
        ceiling.ceiling_name,
        ceiling.value_per_s,
        ceiling.is_default,
        bool_or(used.dtype is not null) as is_main,
    from core.ceiling as ceiling
    inner join device using (hardware_id)
    left join used
        on
            ceiling.hardware_id = used.hardware_id
            and ceiling.name = used.dtype
            and ceiling.basis = used.basis
            and ceiling.origin = used.origin
            and ceiling.pipe = used.pipe
            and ceiling.value_per_s = used.peak_flops_per_s
    where ceiling.kind = 'compute' and device.is_alone
    group by all
),

bandwidth as materialized (
    select
        ceiling.hardware_id,
        ceiling.name as level,
        ceiling.basis,
        ceiling.origin,
        ceiling.value_per_s as bandwidth_bytes_per_s,
        ceiling.is_default,
        mart.level_rank(ceiling.name)::double as level_rank,
        bool_or(used.level is not null) as is_main,
    from core.ceiling as ceiling
    inner join device using (hardware_id)
    left join used
        on
            ceiling.hardware_id = used.hardware_id
            and ceiling.name = used.level
            and ceiling.value_per_s = used.bandwidth_bytes_per_s
    where ceiling.kind = 'bandwidth' and device.is_alone
    group by all
    having ceiling.name <> 'interconnect' or is_main
),

fastest as materialized (
    select
        hardware_id,
        max(value_per_s) as value_per_s,
        max(bandwidth_bytes_per_s) as bandwidth_bytes_per_s,
    from (
        select
            hardware_id,
            value_per_s,
            null as bandwidth_bytes_per_s,
        from compute
        union all by name
        select
            hardware_id,
            bandwidth_bytes_per_s,
        from bandwidth
    )
    group by hardware_id
),

-- the far ends lie outside of the chart: there a ceiling is a straight line
peak as (
    select
        'peak' as layer,
        compute.* exclude (value_per_s),
        compute.value_per_s as performance_flops_per_s,
        unnest([2, 3]) as vertex,
        unnest(
            [
                compute.value_per_s / fastest.bandwidth_bytes_per_s,
                1e6
            ]
        ) as intensity_flops_per_byte,
    from compute
    left join fastest using (hardware_id)
),

slope as (
    select
        'bandwidth' as layer,
        bandwidth.*,
        unnest([1, 2]) as vertex,
        unnest(
            [1e-3, fastest.value_per_s / bandwidth.bandwidth_bytes_per_s]
        ) as intensity_flops_per_byte,
        bandwidth.bandwidth_bytes_per_s * intensity_flops_per_byte as performance_flops_per_s,
    from bandwidth
    left join fastest using (hardware_id)
),

roof as (
    select
        'roof' as layer,
        used.*,
        true as is_main,
        mart.level_rank(used.level)::double as level_rank,
        used.peak_flops_per_s / used.bandwidth_bytes_per_s as ridge_flops_per_byte,
        unnest([1, 2, 3]) as vertex,
        unnest([1e-3, ridge_flops_per_byte, 1e6]) as intensity_flops_per_byte,
        mart.roof_flops_per_s(
            used.peak_flops_per_s, used.bandwidth_bytes_per_s, intensity_flops_per_byte
        ) as performance_flops_per_s,
    from used
),

mark as (
    select * from peak
    union all by name
    select * from slope
    union all by name
    select * from roof
    union all by name
    select * replace ('ridge' as layer) from roof where vertex = 2
    union all by name
    select * from point
)

select
    mark.* exclude (model_id),
    device.short_name as hardware,
    model.short_name as model,
    precision.precision_id,
from mark
inner join device using (hardware_id)
left join core.precision as precision on precision.precision_id = $precision_id
-- points of a query and of measurements have no model
left join mart.op_owner as model using (model_id)
-- the chart of a device shows its ceilings even if it has no point, others need one
where
    device.chart in (select chart from drawn)
    or (
        $else_fastest
        and $marks = 'computed'
        and device.hardware_id not in (select hardware_id from point)
    )
order by all
