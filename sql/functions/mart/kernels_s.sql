-- time of the kernels that run for an op in a step, by the calibration of their kind; 0 if there are none
create or replace macro mart.kernels_s(op, piece) as
    coalesce(
        piece.times * piece.overhead_s
        + greatest(piece.times, 1) * mart.reached_memory_s(
            mart.kernels_bytes(op, piece) / greatest(piece.times, 1) / op.bandwidth_bytes_per_s,
            piece.bandwidth_efficiency,
            greatest(mart.kernels_bytes(op, piece) / greatest(piece.times, 1), 1),
            piece.cached_bytes,
            piece.cached_cost
        ),
        0
    );
