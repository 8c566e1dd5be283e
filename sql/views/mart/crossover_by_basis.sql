-- one row per hardware, model, convention, precision, sharing, op (decode) and basis
create or replace view mart.crossover_by_basis as
with
cost as (
    select * from core.op_cost
),

shape as (
    select * from core.op_shape where phase = 'decode' and level = 'dram'
),

-- a device has roofs only for the precisions that it can run
roof as (
    select roof.*, runnable.precision_id,
    from mart.roof as roof
    inner join core.runnable_precision as runnable using (hardware_id)
),

-- rows only scale the costs; the context only matters to attention
decode as (
    select
        shape.*,
        cost.* exclude (shape_id),
        mart.replicas_served(shape.expert_parallel, shape.tensor_parallel) as replicas_served,
    from cost
    inner join shape using (shape_id)
    qualify row_number() over (
        partition by
            model_id, convention, precision_id, tensor_parallel, op,
            expert_parallel, pipeline_parallel, data_parallel,
            if(heads is null, 0, sequence_length)
        -- whole rows for each replica; experts that are spread have no fewer than one
        order by
            batch_size % data_parallel > 0,
            if(expert_parallel > 1, -batch_size, batch_size),
            sequence_length
    ) = 1
),

-- weights are read once, those of an expert if a token hits it; everything else grows with the rows
per_row as (
    select
        decode.*,
        decode.weight_bytes / decode.matrices as matrix_bytes,
        decode.flops / decode.batch_size as flops_per_row,
        (decode.activation_bytes + decode.kv_bytes + decode.state_bytes) / decode.batch_size as bytes_per_row,
        -- the share of experts that one token of the group does not choose
        if(
            decode.experts is null,
            null,
            pow(
                greatest(1 - decode.row_share / decode.experts / decode.replicas_served, 1e-300),
                decode.replicas_served / decode.data_parallel
            )
        ) as missed,
    from decode
),

-- rows * flops_per_row >= ridge * (weight_bytes + rows * bytes_per_row), for rows
solved as (
    select
        roof.hardware_id,
        per_row.model_id,
        per_row.convention,
        per_row.precision_id,
        per_row.tensor_parallel,
        per_row.op,
        per_row.op_group,
        per_row.expert_parallel,
        per_row.pipeline_parallel,
        per_row.data_parallel,
        roof.basis,
        roof.is_default,
        roof.ridge_flops_per_byte,
        per_row.flops_per_row - roof.ridge_flops_per_byte * per_row.bytes_per_row
            as surplus,
        roof.ridge_flops_per_byte * per_row.matrix_bytes
        * coalesce(per_row.experts, per_row.matrices) as demand,
        mart.critical_rows(surplus, demand, per_row.missed) as critical_rows,
    from per_row
    inner join roof
        on per_row.precision_id = roof.precision_id and per_row.compute_dtype = roof.dtype
)

select
    hardware_id,
    model_id,
    convention,
    precision_id,
    tensor_parallel,
    op,
    op_group,
    basis,
    is_default,
    ridge_flops_per_byte,
    min(if(critical_rows <= 1, 1, ceil(critical_rows * (1 - 1e-12))))::bigint
        as critical_tokens,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
from solved
group by all;

comment on view mart.crossover_by_basis is 'one row per hardware, model, convention, precision, sharing, op and basis: the number of rows from which the op is compute-bound in decode';
comment on column mart.crossover_by_basis.critical_tokens is 'the fewest rows (tokens computed at once) at which the op is compute-bound, for attention at the most favourable context that is computed; null if it never is';
comment on column mart.crossover_by_basis.model_id is 'the model, by the name of its config file; for custom ops, the name of their file';
