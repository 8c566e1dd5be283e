-- how often the program that was profiled launched a kernel; 1 in a table of timings, where repeats are repetitions
create or replace macro mart.profile_launches(source_id, repeats) as
    if(
        coalesce(mart.profile_kind(source_id), 'vidur') in ('vidur', 'aiconfigurator', 'nccl-tests'),
        1,
        coalesce(repeats, 1)
    );
