-- KV cache of one sequence on one device, of which windows keep no more than their tokens
create or replace macro mart.kv_memory_bytes(shard, sliding_window, sequence_length, kv_bits) as
    kv_bits / 8 * (
        (shard.kv_elements_per_token + shard.compressed_elements_per_token) * sequence_length
        + shard.local_kv_elements_per_token * least(sequence_length, coalesce(sliding_window, 0))
    );
