-- time that bytes take at the share of the bandwidth that is reached; what a cache takes up does not wait
create or replace macro mart.reached_memory_s(memory_s, bandwidth_efficiency, bytes, cached_bytes) as
    memory_s / bandwidth_efficiency * bytes / (bytes + coalesce(cached_bytes, 0));
