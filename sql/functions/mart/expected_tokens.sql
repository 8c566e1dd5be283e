-- tokens that a speculative step is expected to yield: a chain of candidates, each accepted with the same probability;
-- null for what is no probability
create or replace macro mart.expected_tokens(acceptance_rate, candidates) as
    -- Leviathan et al. 2023 (arXiv 2211.17192), equation 1; the first candidate is the token that is certain
    case
        when acceptance_rate = 1 then candidates::double
        when acceptance_rate >= 0 and acceptance_rate < 1
            then (1 - pow(acceptance_rate, candidates)) / (1 - acceptance_rate)
    end;
