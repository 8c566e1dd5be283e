-- lower bound of the time of an execution at a roof, in seconds: max(flops / peak, bytes / bandwidth)
create or replace macro mart.roof_time_s(peak_flops_per_s, bandwidth_bytes_per_s, flops, bytes) as
    greatest(flops / peak_flops_per_s, bytes / bandwidth_bytes_per_s);
