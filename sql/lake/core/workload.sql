-- one row per workload, with those of its models and precisions that are shown from its writer
create or replace view core.workload as
with
workload as (
    select *
    from pushed.workload
    inner join (select writer, pushed_at, from pushed.writer) as push using (writer)
    qualify row_number() over (partition by workload_id order by pushed_at desc, writer) = 1
),

agreed as (
    select writer, kind, list(id) as ids,
    from pushed.agreed
    group by all
)

select
    workload.* exclude (writer, pushed_at) replace (
        list_sort(list_intersect(workload.models, model.ids)) as models,
        list_filter(workload.precisions, lambda id: list_contains(precision.ids, id)) as precisions
    ),
from workload
left join agreed as model on model.writer = workload.writer and model.kind = 'model'
left join agreed as precision
    on precision.writer = workload.writer and precision.kind = 'precision';
