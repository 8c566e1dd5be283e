-- replicas whose tokens an expert serves: experts that are spread serve all replicas whose devices they are on
create or replace macro mart.replicas_served(expert_parallel, tensor_parallel) as
    if(expert_parallel = 1, 1, expert_parallel / tensor_parallel);
