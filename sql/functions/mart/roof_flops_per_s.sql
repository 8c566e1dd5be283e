-- performance at a roof, in FLOP/s: min(peak, intensity * bandwidth)
create or replace macro mart.roof_flops_per_s(
    peak_flops_per_s, bandwidth_bytes_per_s, intensity_flops_per_byte
) as
    least(peak_flops_per_s, intensity_flops_per_byte * bandwidth_bytes_per_s);
