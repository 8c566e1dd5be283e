-- one row per hardware, dtype, level, basis, and pipe and accumulator that a kernel may state
create or replace view mart.kernel_roof as
with
stated as (
    select unnest(['', 'tensor', 'vector', 'scalar']) as pipe, '' as accumulator
    union
    select pipe, accumulator from core.measurement
),

-- a ceiling that states no pipe holds for every kernel, and a kernel that states none takes the default
candidate as (
    select
        roof.hardware_id,
        roof.dtype,
        roof.level,
        roof.basis,
        stated.pipe as kernel_pipe,
        stated.accumulator as kernel_accumulator,
        arg_min(
            roof,
            struct_pack(
                a := stated.pipe = '' or roof.pipe <> stated.pipe,
                b := stated.accumulator = '' or roof.accumulator <> stated.accumulator,
                c := not roof.is_main,
                d := roof.preference,
                e := roof.pipe,
                f := roof.accumulator,
                g := roof.ceiling_name
            )
        ) as roof,
    from mart.roof_by_level as roof
    inner join stated
        on
            (stated.pipe = '' or roof.pipe in ('', stated.pipe))
            and (stated.accumulator = '' or roof.accumulator in ('', stated.accumulator))
    group by all
)

select
    hardware_id,
    dtype,
    level,
    basis,
    kernel_pipe,
    kernel_accumulator,
    row_number() over (
        partition by hardware_id, dtype, level, kernel_pipe, kernel_accumulator
        order by roof.is_default desc, list_position(['datasheet', 'measured', 'counter', 'as_printed'], basis)
    ) = 1 as is_default,
    roof.peak_flops_per_s,
    roof.bandwidth_bytes_per_s,
    roof.ridge_flops_per_byte,
    roof.bandwidth_basis,
    roof.peak_origin,
    roof.bandwidth_origin,
    roof.pipe,
    roof.accumulator,
    roof.ceiling_name,
    roof.reduces_in_switch,
from candidate;

comment on view mart.kernel_roof is 'one row per hardware, dtype, level, basis, and pipe and accumulator that a kernel may state: the roof that such a kernel is compared with; none if the device has only ceilings of other pipes';
comment on column mart.kernel_roof.reduces_in_switch is 'whether the switch of an interconnect adds, as the default ceiling says; null for other levels and if not stated';
comment on column mart.kernel_roof.kernel_pipe is 'pipe that the kernel states; empty if none: it is compared with the default ceiling';
comment on column mart.kernel_roof.kernel_accumulator is 'accumulator that the kernel states; empty if none';
