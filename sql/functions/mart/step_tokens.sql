-- tokens of a step: those of the prompts or of their chunks in prefill, one per sequence in decode, both in a mixed step
create or replace macro mart.step_tokens(phase, batch_size, query_length) as
    case phase
        when 'prefill' then batch_size * query_length
        when 'mixed' then batch_size + query_length
        else batch_size
    end;
