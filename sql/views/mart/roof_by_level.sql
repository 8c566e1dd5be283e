-- one row per hardware, dtype, basis, origin, pipe, accumulator and name of a compute ceiling, and level
create or replace view mart.roof_by_level as
with
stated as (
    select
        *,
        coalesce(any_value(pipe) filter (is_default) over of_dtype, '') as default_pipe,
        coalesce(any_value(accumulator) filter (is_default) over of_dtype, '') as default_accumulator,
    from core.ceiling
    where kind = 'compute'
    window of_dtype as (partition by hardware_id, name)
),

-- the first ceiling of a basis that is of the default pipe and accumulator, or may be
compute as (
    select
        * exclude (default_pipe, default_accumulator),
        row_number() over (
            partition by hardware_id, name, basis, is_comparable
            order by is_default desc, preference, origin, pipe, accumulator, ceiling_name
        ) = 1
        and is_comparable as is_main,
    from (
        select
            *,
            (pipe in ('', default_pipe) or default_pipe = '')
            and (accumulator in ('', default_accumulator) or default_accumulator = '')
                as is_comparable,
        from stated
    )
),

bandwidth as (
    select
        * replace (any_value(reduces_in_switch) filter (is_default) over of_level as reduces_in_switch),
        any_value(switch_devices) filter (is_default) over of_level as default_switch_devices,
    from (
        select *
        from core.ceiling
        where kind = 'bandwidth' and (preference = 1 or is_default)
    )
    window of_level as (partition by hardware_id, name)
),

paired as (
    select
        compute.hardware_id,
        compute.name as dtype,
        compute.basis,
        bandwidth.name as level,
        compute.value_per_s as peak_flops_per_s,
        bandwidth.value_per_s as bandwidth_bytes_per_s,
        bandwidth.basis as bandwidth_basis,
        compute.is_default,
        compute.origin as peak_origin,
        bandwidth.origin as bandwidth_origin,
        compute.note,
        compute.pipe,
        compute.accumulator,
        compute.ceiling_name,
        compute.is_main,
        compute.preference,
        bandwidth.reduces_in_switch,
        bandwidth.default_switch_devices as switch_devices,
    from compute
    inner join bandwidth using (hardware_id)
    where bandwidth.basis = compute.basis or bandwidth.is_default
    qualify row_number() over (
        partition by
            compute.hardware_id, compute.name, compute.basis, compute.origin, compute.pipe,
            compute.accumulator, compute.ceiling_name, bandwidth.name
        order by
            if(compute.is_default, bandwidth.is_default, bandwidth.basis = compute.basis) desc
    ) = 1
)

select
    paired.hardware_id,
    paired.dtype,
    paired.basis,
    paired.level,
    hardware.short_name,
    paired.peak_flops_per_s,
    paired.bandwidth_bytes_per_s,
    paired.peak_flops_per_s / paired.bandwidth_bytes_per_s as ridge_flops_per_byte,
    paired.is_default,
    paired.bandwidth_basis,
    paired.peak_origin,
    paired.bandwidth_origin,
    paired.note,
    paired.pipe,
    paired.accumulator,
    paired.ceiling_name,
    paired.is_main,
    paired.preference,
    paired.reduces_in_switch,
    paired.switch_devices,
from paired
inner join core.hardware as hardware using (hardware_id);

comment on view mart.roof_by_level is 'one row per hardware, dtype, basis, origin, pipe, accumulator and name of a compute ceiling, and level: the ceiling with the bandwidth of a memory level or of the interconnect: a default peak with the default bandwidth, another peak with the bandwidth of its basis, or else the default one';
comment on column mart.roof_by_level.dtype is 'dtype of the arithmetic';
comment on column mart.roof_by_level.level is 'what the bytes move through: dram, another memory level, or interconnect';
comment on column mart.roof_by_level.peak_flops_per_s is 'compute ceiling, dense';
comment on column mart.roof_by_level.bandwidth_bytes_per_s is 'bandwidth ceiling: of DRAM unless another level is named';
comment on column mart.roof_by_level.ridge_flops_per_byte is 'intensity at which the two ceilings meet: peak / bandwidth';
comment on column mart.roof_by_level.bandwidth_basis is 'where the bandwidth comes from';
comment on column mart.roof_by_level.peak_origin is 'document that states the peak';
comment on column mart.roof_by_level.bandwidth_origin is 'document that states the bandwidth';
comment on column mart.roof_by_level.reduces_in_switch is 'whether the switch of an interconnect adds, as the default ceiling says; null for other levels and if not stated';
comment on column mart.roof_by_level.switch_devices is 'devices that the switch joins; null if not known';
comment on column mart.roof_by_level.is_main is 'whether it is the one of its dtype and basis that mart.roof shows';
