-- the most sequences that fit beside what does not grow with them; null if a sequence takes no memory
create or replace macro mart.largest_batch(
    device_memory_bytes, fixed_bytes, sequence_bytes, free_share := 0
) as
    case
        when sequence_bytes > 0
            then
                greatest(
                    floor((device_memory_bytes * (1 - free_share) - fixed_bytes) / sequence_bytes), 0
                )::bigint
    end;
