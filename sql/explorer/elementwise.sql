-- one row per kind of op that is not a GEMM
select
    kind,
    flops_per_element,
    reads_per_element,
    writes_per_element,
    weight_reads_per_element,
from core.elementwise
order by kind
