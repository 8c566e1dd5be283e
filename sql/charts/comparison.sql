-- one row per device and vertex of its default roof, and one per device without a roof of the dtype
with
device as (
    select
        asked.hardware_id,
        hardware.short_name
        || if(count(*) over (partition by hardware.short_name) > 1, format(' ({})', asked.hardware_id), '')
            as short_name,
    from (select distinct unnest($devices) as hardware_id) as asked
    left join core.hardware as hardware using (hardware_id)
)

select
    if(vertex.hardware_id is null, 'not drawn', 'roof') as layer,
    coalesce(device.short_name, device.hardware_id) as hardware,
    case
        when vertex.hardware_id is not null then 'drawn'
        when device.short_name is null then 'not known here'
        else format('no {} peak', $dtype)
    end as status,
    format(
        '{} · {:,g} TFLOP/s · {:,g} GB/s',
        device.short_name,
        vertex.peak_flops_per_s / 1e12,
        vertex.bandwidth_bytes_per_s / 1e9
    ) as label,
    $dtype as dtype,
    vertex.basis,
    vertex.peak_origin as origin,
    vertex.vertex,
    vertex.intensity_flops_per_byte,
    vertex.performance_flops_per_s,
    vertex.ridge_flops_per_byte,
    vertex.peak_flops_per_s,
    vertex.bandwidth_bytes_per_s,
from device
left join mart.roof_vertex as vertex
    on device.hardware_id = vertex.hardware_id and vertex.dtype = $dtype and vertex.is_default
order by vertex.peak_flops_per_s, vertex.bandwidth_bytes_per_s, hardware, vertex
