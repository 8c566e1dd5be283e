-- serial steps of a kernel: elements of a row, or tokens of the context of a prompt, that one block works through, or further
-- devices of a collective; 0 for others
create or replace macro mart.serial_steps(kind, n, tensor_parallel, query_length, sequence_length) as
    case
        when kind in ('norm', 'rms_norm', 'layer_norm', 'softmax', 'add_rms_norm') then n
        -- a block has 128 queries; with fewer, the context is cut instead
        when kind = 'attention' and query_length >= 128 then sequence_length
        when kind in ('all_reduce', 'all_gather', 'all_to_all', 'send') then tensor_parallel - 1
        else 0
    end;
