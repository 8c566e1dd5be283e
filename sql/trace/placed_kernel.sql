-- one row per kernel, copy and fill: the process that launched it, if known, and the replay of a CUDA graph that it is
-- of, by its correlation id, -1 if it is of none
create table placed_kernel as
select
    kernel.*,
    device_process.process,
    if(kernel.node > 0 or graph_launch.correlation is not null, kernel.correlation, -1) as replay,
from kernel
left join device_process on kernel.device = device_process.device
left join (select distinct correlation from call where kind = $graph_launch) as graph_launch
    on kernel.correlation = graph_launch.correlation
