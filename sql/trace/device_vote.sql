-- one row per device and the process that has the most ids of its kernels which no other has
select
    kernel.device,
    op_leaf.process,
    count(*) as kernels,
from kernel
inner join op_leaf on kernel.id = op_leaf.id
where op_leaf.is_only
group by kernel.device, op_leaf.process
order by kernels, op_leaf.process
