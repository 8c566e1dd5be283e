-- one row per computed point above its roof, which would take less time than its lower bound
select
    hardware_id,
    shape_id,
    precision_id,
    basis,
    attainable_flops_per_s,
    flops / lower_bound_s as performance_flops_per_s,
from mart.roofline_point_by_basis
where attainable_flops_per_s * lower_bound_s > flops * (1 + 1e-9)
