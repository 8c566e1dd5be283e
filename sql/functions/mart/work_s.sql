-- seconds of an op's work in a step of so many sequences at once
create or replace macro mart.work_s(op, sequences, expert_parallel) as
    op.compute_s * mart.rounded_rows(sequences, op.row_share, expert_parallel);
