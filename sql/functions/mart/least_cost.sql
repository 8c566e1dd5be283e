-- mean of costs in which the least count most: the more, the larger the exponent; 1 if there are none
create or replace macro mart.least_cost(costs, exponent) as
    coalesce(
        list_min(costs) * pow(
            list_avg(list_transform(costs, lambda cost: pow(cost / list_min(costs), -least(exponent, 64)))),
            -1 / least(exponent, 64)
        ),
        1
    );
