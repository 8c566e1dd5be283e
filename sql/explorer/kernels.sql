-- one row per fusion, kind of op and place: what runs for an op besides, or in its place, in which phases and dtypes
select
    fusion,
    kind,
    place,
    is_op,
    runs,
    times,
    kernels,
    bytes_factor,
    activation_factor,
    token_factor,
    input_factor,
    list(distinct phase order by phase) as phases,
    list(distinct dtype order by dtype) as dtypes,
from core.op_kernel
group by all
order by fusion, kind, place, phases, dtypes
