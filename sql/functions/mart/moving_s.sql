-- seconds that an op's bytes take in a step of so many sequences at once
create or replace macro mart.moving_s(op, sequences, expert_parallel) as
    op.moved_s * mart.rounded_rows(sequences, op.row_share, expert_parallel)
    + op.weights_s * mart.hit_share(sequences, op.missed, op.experts, expert_parallel);
