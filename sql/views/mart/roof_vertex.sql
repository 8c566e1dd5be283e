-- one row per hardware, dtype, basis and vertex
create or replace view mart.roof_vertex as
with
roof as (
    select * from mart.roof
),

-- far outside any chart: a roof is a straight line on either side of its ridge
vertex as (
    select
        roof.*,
        unnest([1, 2, 3]) as vertex,
        unnest([1e-3, roof.ridge_flops_per_byte, 1e6]) as intensity_flops_per_byte,
    from roof
)

select
    hardware_id,
    dtype,
    basis,
    vertex,
    short_name,
    is_default,
    bandwidth_bytes_per_s,
    peak_flops_per_s,
    ridge_flops_per_byte,
    bandwidth_basis,
    peak_origin,
    bandwidth_origin,
    intensity_flops_per_byte,
    mart.roof_flops_per_s(peak_flops_per_s, bandwidth_bytes_per_s, intensity_flops_per_byte)
        as performance_flops_per_s,
from vertex;

comment on view mart.roof_vertex is 'one row per hardware, dtype, basis and vertex: the three points that draw a roof exactly on logarithmic axes';
comment on column mart.roof_vertex.vertex is '1 on the bandwidth ceiling, 2 at the ridge, 3 on the compute ceiling';
comment on column mart.roof_vertex.intensity_flops_per_byte is 'operational intensity: flops / bytes';
comment on column mart.roof_vertex.performance_flops_per_s is 'performance of the vertex';
