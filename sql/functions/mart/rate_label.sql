-- the value of a ceiling as on pages: 989.4 TFLOP/s, 1,979 TOP/s of an integer dtype, 3,350 GB/s
create or replace macro mart.rate_label(kind, name, value_per_s) as
    format('{:,.5g}', value_per_s / if(kind = 'compute', 1e12, 1e9))
    || case
        when kind = 'bandwidth' then ' GB/s'
        when name like 'int%' then ' TOP/s'
        else ' TFLOP/s'
    end;
