-- one row per device and vertex of its default roof
select
    'roof' as layer,
    vertex.short_name as hardware,
    format(
        '{} · {:g} TFLOP/s · {:g} GB/s',
        vertex.short_name,
        vertex.peak_flops_per_s / 1e12,
        vertex.bandwidth_bytes_per_s / 1e9
    ) as label,
    vertex.dtype,
    vertex.basis,
    vertex.peak_origin as origin,
    vertex.vertex,
    vertex.intensity_flops_per_byte,
    vertex.performance_flops_per_s,
    vertex.ridge_flops_per_byte,
    vertex.peak_flops_per_s,
    vertex.bandwidth_bytes_per_s,
from mart.roof_vertex as vertex
where
    vertex.dtype = $dtype
    and vertex.is_default
    and vertex.hardware_id in $devices
order by vertex.peak_flops_per_s, vertex.bandwidth_bytes_per_s, vertex.short_name, vertex
