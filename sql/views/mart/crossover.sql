-- one row per hardware, model, convention, precision, sharing and op (decode)
create or replace view mart.crossover as
select * exclude (is_default)
from mart.crossover_by_basis
where is_default;

comment on view mart.crossover is 'one row per hardware, model, convention, precision, sharing and op: the number of rows from which the op is compute-bound in decode, on the default roof';
