-- time of a step whose kernels take so many seconds, with what the device needs between them; if a program starts each of them,
-- the step takes no less than it takes the host to start all
create or replace macro mart.launched_s(launch, seconds, start_s, gap_s, graph_gap_s) as
    if(launch = 'graph', seconds + graph_gap_s, greatest(seconds + gap_s, start_s));
