-- rows at which rows * surplus = weights + those of experts that are hit, as mart.critical_rows, for mixtures with
-- weights and missed shares of their own
create or replace macro mart.critical_rows_of_mixtures(surplus, weights, mixtures) as
    case
        when surplus <= 0 then null
        when len(mixtures) = 0 then weights / surplus
        else list_reduce(
            range(30)::double[],
            lambda rows, turn: rows - (
                surplus * rows
                - weights
                - list_sum(list_transform(
                    mixtures, lambda each: each.weights_s * (1 - pow(each.missed, rows))
                ))
            ) / (
                surplus
                + list_sum(list_transform(
                    mixtures,
                    lambda each: each.weights_s * pow(each.missed, rows) * ln(each.missed)
                ))
            ),
            (weights + list_sum(list_transform(mixtures, lambda each: each.weights_s))) / surplus
        )
    end;
