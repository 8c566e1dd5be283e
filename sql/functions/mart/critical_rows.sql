-- rows at which rows * surplus = weights * (1 - missed ^ rows), from which on the left side is greater; null if never:
-- weights are read once, those of a mixture if a row hits their expert, which all but a share `missed` do
create or replace macro mart.critical_rows(surplus, weights, missed) as
    case
        when surplus <= 0 then null
        when missed is null then weights / surplus
        -- Newton's method from above
        else list_reduce(
            range(30)::double[],
            lambda rows, turn: rows - (
                surplus * rows - weights * (1 - pow(missed, rows))
            ) / (surplus + weights * pow(missed, rows) * ln(missed)),
            weights / surplus
        )
    end;
