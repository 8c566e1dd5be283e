-- ops of mart.step_ops, added up to whole steps in either launch: the time that a step is expected to take, one kernel after
-- the other. Columns of mart.step_op that are not named here are keys
create or replace macro mart.expected_steps(ops) as table
with
group_time as (
    select
        * exclude (
            op, level, predicted_s, lower_bound_s, start_s, gap_s, graph_gap_s, is_covered, transferred_from
        ),
        sum(predicted_s) as seconds,
        sum(op.lower_bound_s) as lower_bound_s,
        coalesce(sum(op.lower_bound_s) filter (is_covered), 0) as covered_s,
        coalesce(list(op.op) filter (not is_covered), []) as uncovered_ops,
        coalesce(list(transferred_from) filter (transferred_from is not null), []) as relatives,
        bool_or(level = 'interconnect') as is_exchange,
        sum(op.start_s) as start_s,
        sum(op.gap_s) as gap_s,
        sum(op.graph_gap_s) as graph_gap_s,
    from query_table(ops) as op
    group by all
),

step as (
    select
        * exclude (
            op_group, seconds, lower_bound_s, covered_s, uncovered_ops, relatives, is_exchange, start_s, gap_s,
            graph_gap_s
        ),
        sum(seconds) as seconds,
        sum(group_time.lower_bound_s) as lower_bound_s,
        sum(covered_s) / sum(group_time.lower_bound_s) as covered_share,
        nullif(
            array_to_string(list_sort(list_distinct(flatten(list(group_time.uncovered_ops)))), ', '), ''
        ) as uncovered_ops,
        nullif(
            array_to_string(list_sort(list_distinct(flatten(list(relatives)))), ', '), ''
        ) as transferred_from,
        arg_max(op_group, seconds) as dominant_op_group,
        max(seconds) / sum(seconds) as dominant_share,
        map_from_entries(list((op_group, seconds) order by seconds desc)) as op_group_s,
        bool_or(is_exchange) as has_link,
        sum(group_time.start_s) as start_s,
        sum(group_time.gap_s) as gap_s,
        sum(group_time.graph_gap_s) as graph_gap_s,
    from group_time
    group by all
)

select
    step.* exclude (seconds, has_link, start_s, gap_s, graph_gap_s),
    launch.launch,
    mart.launched_s(
        launch.launch, step.seconds, step.start_s, step.gap_s, step.graph_gap_s
    ) as predicted_s,
    mart.step_tokens(step.phase, step.batch_size, step.query_length) / predicted_s as tokens_per_s,
    predicted_s - step.seconds as host_wait_s,
    launch.launch = mart.default_launch(step.phase) as is_default_launch,
from step
cross join (values ('eager'), ('graph')) as launch (launch)
-- devices that share a model need a link between them
where
    step.tensor_parallel * step.expert_parallel * step.pipeline_parallel = 1
    or step.has_link
    or step.convention <> 'engine';
