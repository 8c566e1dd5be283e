-- one row per point, but no rows: the points come from a user's query
select
    'computed' as layer,
    null::varchar as ops,
    null::varchar as op_group,
    null::varchar as phase,
    null::bigint as batch_size,
    null::bigint as sequence_length,
    null::double as intensity_flops_per_byte,
    null::double as performance_flops_per_s,
    null::varchar as bound,
where false
