-- one row per computed point that lies above a ceiling of its roof
select
    point.hardware_id,
    point.shape_id,
    point.precision_id,
    point.basis,
    point.attainable_flops_per_s,
    point.flops / point.lower_bound_s as performance_flops_per_s,
    roof.peak_flops_per_s,
    point.flops / point.bytes * roof.bandwidth_bytes_per_s as bandwidth_flops_per_s,
from mart.roofline_point_by_basis as point
inner join mart.roof as roof using (hardware_id, dtype, basis)
where
    greatest(attainable_flops_per_s, performance_flops_per_s)
    > least(peak_flops_per_s, bandwidth_flops_per_s) * (1 + 1e-9)
