-- one row per sweep
create or replace view mart.sweep as
with
part as (
    select
        sweep_id,
        count(*) as part_count,
        sum(size_bytes)::bigint as size_bytes,
    from core.sweep_part
    group by sweep_id
),

made_up as (
    select
        sweep_id,
        count(*) as device_count,
    from core.sweep_device
    group by sweep_id
)

select
    sweep.sweep_id,
    sweep.row_count,
    coalesce(part.part_count, 0) as part_count,
    coalesce(part.size_bytes, 0) as size_bytes,
    sweep.created_at,
    sweep.models,
    sweep.conventions,
    sweep.phases,
    sweep.precisions,
    sweep.tensor_parallel_range,
    sweep.batch_range,
    sweep.sequence_range,
    sweep.candidate_range,
    sweep.folder,
    sweep.code_version,
    sweep.query_range,
    sweep.expert_parallel_range,
    sweep.pipeline_parallel_range,
    sweep.data_parallel_range,
    sweep.device_like,
    sweep.bandwidth_range,
    sweep.memory_range,
    sweep.link_range,
    sweep.peak_ranges,
    coalesce(made_up.device_count, 0) as device_count,
from core.sweep as sweep
left join part using (sweep_id)
left join made_up using (sweep_id);

comment on view mart.sweep is 'one row per sweep: its size, its grid, and when it was made';
comment on column mart.sweep.part_count is 'Parquet files of the sweep';
comment on column mart.sweep.size_bytes is 'total size of its files';
comment on column mart.sweep.device_count is 'made-up devices of the sweep';
