-- what limits an op at a roof: compute at or right of the ridge, else what the bytes move through
create or replace macro mart.roof_bound(intensity_flops_per_byte, ridge_flops_per_byte, level) as
    case
        when intensity_flops_per_byte >= ridge_flops_per_byte then 'compute'
        when level = 'dram' then 'memory'
        else level
    end;
