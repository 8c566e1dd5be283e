-- one row per kernel of a measurement file of the user's, at the level where its lower bound is longest
create or replace view mart.profile_kernel as
with
-- kernels that look alike are told apart by their place in the file
numbered as (
    select
        *,
        row_number() over (
            partition by
                source_id, hardware_id, op, latency_s, flops, m, k, n, batch_size, sequence_length, level
            order by measurement_id
        ) as place,
    from mart.measured_point
    where source_id not like 'shipped/%' and op_group <> 'ceiling'
),

kernel as (
    select *
    from numbered
    qualify row_number() over (
        partition by
            source_id, hardware_id, op, latency_s, flops, m, k, n, batch_size, sequence_length, place
        order by lower_bound_s desc nulls last, level <> 'dram', level
    ) = 1
)

select
    measurement_id,
    source_id,
    regexp_extract(source_id, '([^/]*)$') as profile,
    mart.profile_kind(source_id) as profile_kind,
    hardware_id,
    model_id,
    op,
    op_group,
    kind,
    phase,
    m,
    k,
    n,
    batch_size,
    sequence_length,
    query_length,
    dtype,
    pipe,
    accumulator,
    level,
    mart.profile_launches(source_id, repeats) as launches,
    latency_s,
    latency_s * launches as total_s,
    total_s / sum(total_s) over (partition by source_id, hardware_id) as time_share,
    flops,
    bytes,
    intensity_flops_per_byte,
    achieved_flops_per_s,
    achieved_bytes_per_s,
    attainable_flops_per_s,
    lower_bound_s,
    roof_fraction,
    -- of memory, the level whose bandwidth holds it back
    case
        when bound = 'memory' and level <> 'dram' then level
        when bound is null and flops = 0 and lower_bound_s is not null then if(level = 'dram', 'memory', level)
        else bound
    end as bound,
    if(lower_bound_s is null, null, greatest(latency_s - lower_bound_s, 0) * launches) as headroom_s,
    is_above_roof,
    likely_cause,
    method,
    software,
    source,
    rank,
    covered_share,
    coverage,
from kernel;

comment on view mart.profile_kernel is 'one row per kernel of a measurement file of the user''s, at the level where its lower bound is longest: its share of the time, and what it would gain at the roof';
comment on column mart.profile_kernel.profile is 'name of the file in the catalog, without its ending';
comment on column mart.profile_kernel.profile_kind is 'program that wrote the profile; null for a measurement file';
comment on column mart.profile_kernel.launches is 'how often the profiled program launched it; 1 in a table of timings';
comment on column mart.profile_kernel.total_s is 'time of all launches';
comment on column mart.profile_kernel.time_share is 'share of the time of all kernels of the file on the device: of a trace, those that are counted';
comment on column mart.profile_kernel.bound is 'what bounds it: compute, memory or another level, or overhead, the time of the launch; null if not known';
comment on column mart.profile_kernel.headroom_s is 'time that all launches would save at the roof; 0 above it, null if no roof is known';
