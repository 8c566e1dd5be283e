-- recurrent state of one sequence on one device, and the last tokens that recurrent layers keep
create or replace macro mart.state_memory_bytes(shard, state_bits, activation_bits) as
    coalesce(shard.state_elements * state_bits / 8, shard.state_bytes)
    + shard.recent_elements * activation_bits / 8;
