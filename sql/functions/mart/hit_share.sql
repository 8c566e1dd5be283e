-- share of an op's weights that so many sequences at once are expected to hit; a device with experts that are spread
-- computes one at least
create or replace macro mart.hit_share(sequences, missed, experts, expert_parallel) as
    case
        when missed is null then 1
        when expert_parallel = 1 then 1 - pow(missed, sequences)
        else greatest(1 - pow(missed, sequences), 1 / experts)
    end;
