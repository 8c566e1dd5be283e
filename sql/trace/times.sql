-- one row per shape, arithmetic, launch and rank, with the times of its runs
create table times as
select
    run.shape,
    run.is_tf32,
    run.launch,
    process_rank.rank,
    median(run.us) / 1e6 as latency_s,
    min(run.us) / 1e6 as latency_min_s,
    stddev_samp(run.us) / 1e6 as latency_std_s,
    count(*) as repeats,
    if(bool_and(run.is_tensor), 'tensor', '') as pipe,
from run
left join process_rank on run.process = process_rank.process
group by all
