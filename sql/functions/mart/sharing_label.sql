-- how devices share a model, as on charts: TP8 EP8; TP1 for one device
create or replace macro mart.sharing_label(tensor_parallel, expert_parallel, pipeline_parallel, data_parallel) as
    concat_ws(
        ' ',
        if(tensor_parallel > 1 or expert_parallel * pipeline_parallel * data_parallel = 1, 'TP' || tensor_parallel, null),
        if(expert_parallel > 1, 'EP' || expert_parallel, null),
        if(pipeline_parallel > 1, 'PP' || pipeline_parallel, null),
        if(data_parallel > 1, 'DP' || data_parallel, null)
    );
