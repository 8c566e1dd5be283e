-- the value of a ceiling as on pages: 989.4 TFLOP/s, 1,979 TOP/s of an integer dtype, 3,350 GB/s
create or replace macro mart.rate_label(kind, name, value_per_s) as
    -- from 100,000 on, five digits would have an exponent
    case
        when value_per_s / if(kind = 'compute', 1e12, 1e9) < 99999.5
            then format('{:,.5g}', value_per_s / if(kind = 'compute', 1e12, 1e9))
        else format('{:,.0f}', value_per_s / if(kind = 'compute', 1e12, 1e9))
    end
    || case
        when kind = 'bandwidth' then ' GB/s'
        when name like 'int%' then ' TOP/s'
        else ' TFLOP/s'
    end;
