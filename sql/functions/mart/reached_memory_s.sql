-- time that bytes take at the share of the bandwidth that is reached; those that a cache holds take a part of it, and more if
-- the cache is full of others' results, which must be written back first
create or replace macro mart.reached_memory_s(memory_s, bandwidth_efficiency, bytes, cached_bytes, cached_cost) as
    memory_s / bandwidth_efficiency
    * (
        coalesce(cached_cost, 1)
        + (1 - coalesce(cached_cost, 1))
        / (1 + pow(coalesce(cached_bytes, 0) / bytes, if(cached_cost > 1, 1, 8)))
    );
