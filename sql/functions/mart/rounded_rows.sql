-- rows of an op in a step of so many sequences at once: those of experts that are spread are rounded up
create or replace macro mart.rounded_rows(sequences, row_share, expert_parallel) as
    case
        when row_share is null then sequences
        when expert_parallel = 1 then floor(row_share * sequences + 1e-9)
        else ceil(row_share * sequences - 1e-9)
    end;
