-- how the kernels of a phase are started unless somebody says otherwise: prompts eagerly, decode from a graph
create or replace macro mart.default_launch(phase) as
    if(phase in ('decode', 'speculative'), 'graph', 'eager');
