-- serial steps of a kernel: elements of a row that one block works through, or further devices of a collective; 0 for others
create or replace macro mart.serial_steps(kind, n, tensor_parallel) as
    case
        when kind in ('norm', 'rms_norm', 'layer_norm', 'softmax', 'add_rms_norm') then n
        when kind in ('all_reduce', 'all_gather', 'all_to_all', 'send') then tensor_parallel - 1
        else 0
    end;
