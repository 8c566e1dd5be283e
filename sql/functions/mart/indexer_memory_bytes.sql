-- keys that the indexers of sparse attention keep of one sequence on one device
create or replace macro mart.indexer_memory_bytes(shard, sequence_length, kv_bits) as
    kv_bits / 8 * sequence_length
    * (shard.indexer_elements_per_token + shard.compressed_indexer_elements_per_token);
