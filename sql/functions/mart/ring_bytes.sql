-- bytes that each device of a ring sends for an all-reduce whose switch would send these; others as they are
create or replace macro mart.ring_bytes(algorithm, bytes, tensor_parallel) as
    if(algorithm = 'switch', bytes * 2 * (tensor_parallel - 1) / tensor_parallel, bytes);
