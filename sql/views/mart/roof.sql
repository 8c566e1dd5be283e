-- one row per hardware, dtype and basis
create or replace view mart.roof as
with
compute as (
    select * from core.ceiling where kind = 'compute'
),

dram as (
    select * from core.ceiling where kind = 'bandwidth' and name = 'dram'
),

paired as (
    select
        compute.hardware_id,
        compute.name as dtype,
        compute.basis,
        compute.value_per_s as peak_flops_per_s,
        dram.value_per_s as bandwidth_bytes_per_s,
        dram.basis as bandwidth_basis,
        compute.is_default,
        compute.origin as peak_origin,
        dram.origin as bandwidth_origin,
        compute.note,
    from compute
    inner join dram using (hardware_id)
    where dram.basis = compute.basis or dram.is_default
    qualify row_number() over (
        partition by compute.hardware_id, compute.name, compute.basis
        order by
            if(compute.is_default, dram.is_default, dram.basis = compute.basis) desc
    ) = 1
)

select
    paired.hardware_id,
    paired.dtype,
    paired.basis,
    hardware.short_name,
    paired.peak_flops_per_s,
    paired.bandwidth_bytes_per_s,
    paired.peak_flops_per_s / paired.bandwidth_bytes_per_s as ridge_flops_per_byte,
    paired.is_default,
    paired.bandwidth_basis,
    paired.peak_origin,
    paired.bandwidth_origin,
    paired.note,
from paired
inner join core.hardware as hardware using (hardware_id);

comment on view mart.roof is 'one row per hardware, dtype and basis: a compute ceiling with a DRAM bandwidth: a default peak with the default one, another with that of its own basis or else the default one';
comment on column mart.roof.dtype is 'dtype of the arithmetic';
comment on column mart.roof.peak_flops_per_s is 'compute ceiling, dense';
comment on column mart.roof.bandwidth_bytes_per_s is 'DRAM bandwidth ceiling';
comment on column mart.roof.ridge_flops_per_byte is 'intensity at which the two ceilings meet: peak / bandwidth';
comment on column mart.roof.bandwidth_basis is 'where the bandwidth comes from';
comment on column mart.roof.peak_origin is 'document that states the peak';
comment on column mart.roof.bandwidth_origin is 'document that states the bandwidth';
