-- algorithm of an all-reduce on an interconnect: switch if the switch adds, else ring; null for other kinds of op
create or replace macro mart.reduction(kind, reduces_in_switch) as
    case
        when kind <> 'all_reduce' then null
        when reduces_in_switch then 'switch'
        else 'ring'
    end;
