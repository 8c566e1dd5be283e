-- one row per hardware, op shape, precision and basis
create or replace view mart.roofline_point_by_basis as
with
cost as (
    select * from core.op_cost
),

shape as (
    select * from core.op_shape
),

-- a step is all of its ops: only a device that can run each of them has roofs for a precision
roof as (
    select kernel_roof.*, runnable.precision_id,
    from mart.kernel_roof as kernel_roof
    inner join core.runnable_precision as runnable using (hardware_id)
    where kernel_roof.kernel_accumulator = ''
),

placed as (
    select
        shape.*,
        roof.* exclude (precision_id, level, pipe),
        cost.* exclude (shape_id, activation_bytes, bytes, intensity_flops_per_byte),
        roof.pipe as roof_pipe,
        mart.reduction(shape.kind, roof.reduces_in_switch) as algorithm,
        -- costs count the ring of an all-reduce
        if(algorithm = 'switch', mart.switch_bytes(cost.bytes, shape.tensor_parallel), cost.bytes)
            as sent_bytes,
        if(algorithm = 'switch', sent_bytes, cost.activation_bytes) as moved_activation_bytes,
        if(algorithm = 'switch', cost.flops / sent_bytes, cost.intensity_flops_per_byte)
            as intensity,
    from cost
    inner join shape using (shape_id)
    inner join roof
        on
            cost.precision_id = roof.precision_id
            and cost.compute_dtype = roof.dtype
            and shape.level = roof.level
            and shape.pipe = roof.kernel_pipe
)

select
    hardware_id,
    model_id,
    convention,
    precision_id,
    phase,
    batch_size,
    sequence_length,
    query_length,
    tensor_parallel,
    op,
    basis,
    is_default,
    shape_id,
    dtype,
    level,
    op_group,
    concat_ws(' ', op_group, suffixes[phase]) as series,
    kind,
    m,
    k,
    n,
    heads,
    kv_heads,
    head_dim,
    repeat,
    flops,
    weight_bytes,
    moved_activation_bytes as activation_bytes,
    kv_bytes,
    sent_bytes as bytes,
    intensity as intensity_flops_per_byte,
    mart.roof_flops_per_s(
        peak_flops_per_s, bandwidth_bytes_per_s, intensity
    ) as attainable_flops_per_s,
    mart.roof_time_s(peak_flops_per_s, bandwidth_bytes_per_s, flops, sent_bytes)
        as lower_bound_s,
    mart.roof_bound(intensity, ridge_flops_per_byte, level) as bound,
    ridge_flops_per_byte,
    peak_flops_per_s,
    bandwidth_bytes_per_s,
    matrices,
    roof_pipe as pipe,
    state_bytes,
    algorithm,
    expert_parallel,
    pipeline_parallel,
    data_parallel,
    idle_repeat,
    is_measured,
from placed
-- a join by phase would read every row, even where nobody asks for the series
cross join (select map(list(phase), list(series_suffix)) as suffixes from core.phase);

comment on view mart.roofline_point_by_basis is 'one row per hardware, op shape, precision and basis: where the op lies on each roof of the dtype that its arithmetic runs in';
comment on column mart.roofline_point_by_basis.algorithm is 'of an all-reduce: switch if the switch of the interconnect adds, so that each byte is sent once, else ring; null for what is none';
comment on column mart.roofline_point_by_basis.series is 'label of the op''s group and phase on charts';
comment on column mart.roofline_point_by_basis.attainable_flops_per_s is 'performance at the roof: min(peak, intensity * bandwidth)';
comment on column mart.roofline_point_by_basis.lower_bound_s is 'lower bound of the time of one execution: max(flops / peak, bytes / bandwidth)';
comment on column mart.roofline_point_by_basis.bound is 'compute at or right of the ridge, memory left of it, or the level if its bytes come from elsewhere than DRAM, e.g. interconnect';
