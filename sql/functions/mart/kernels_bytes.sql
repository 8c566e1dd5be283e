-- bytes that the kernels which run for an op in a step move together
create or replace macro mart.kernels_bytes(op, piece) as
    (
        piece.bytes_factor * op.bytes
        + piece.activation_factor * op.activation_bytes
    ) * op.widening
    + piece.token_factor * op.kv_bytes * op.query_length / op.sequence_length
    + piece.input_factor * coalesce(op.input_elements, 0);
