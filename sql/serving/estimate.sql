-- one row per run of an engine: its bound and its expected times, from the steps that it is made of
with
asked as (
    select distinct shape_id, hardware_id, precision_id
    from setting_use
    inner join core.op_shape as shape using (
        model_id, phase, batch_size, sequence_length, query_length,
        tensor_parallel, expert_parallel, pipeline_parallel, data_parallel
    )
),

point as (
    select * from mart.roofline_point
    where
        level in ('dram', 'interconnect')
        and (shape_id, hardware_id, precision_id) in (
            select (shape_id, hardware_id, precision_id) from asked
        )
),

-- ops that see decode rows and prompts apart are taken from a step of each; the others from the step of both
step as (
    select
        hardware_id,
        op.model_id,
        precision_id,
        phase,
        batch_size,
        sequence_length,
        query_length,
        tensor_parallel,
        expert_parallel,
        pipeline_parallel,
        data_parallel,
        coalesce(sum(lower_bound_s) filter (apart.op is null), 0) as shared_bound_s,
        coalesce(sum(lower_bound_s) filter (apart.op is not null), 0) as apart_bound_s,
        coalesce(sum(predicted_s + graph_gap_s) filter (apart.op is null), 0) as shared_s,
        coalesce(sum(predicted_s + graph_gap_s) filter (apart.op is not null), 0) as apart_s,
        coalesce(sum(lower_bound_s) filter (is_covered), 0) as covered_s,
        coalesce(list(transferred_from) filter (transferred_from is not null), []) as relatives,
        bool_or(level = 'interconnect') as has_link,
    from mart.step_ops('point') as op
    left join apart
        on op.model_id = apart.model_id and op.op = apart.op
    where fusion = 'engine'
    group by all
    -- devices that share a model need a link between them
    having tensor_parallel * expert_parallel * pipeline_parallel = 1 or has_link
),

found as (
    select
        setting_use.serving_id,
        setting_use.part,
        step.shared_bound_s,
        step.apart_bound_s,
        step.shared_s,
        step.apart_s,
        step.covered_s,
        step.relatives,
    from setting_use
    inner join step using (
        hardware_id, model_id, precision_id, phase, batch_size, sequence_length, query_length,
        tensor_parallel, expert_parallel, pipeline_parallel, data_parallel
    )
),

part as (
    select
        serving_id,
        any_value(found) filter (part = 'decode') as decode,
        any_value(found) filter (part = 'mean') as mean,
        any_value(found) filter (part = 'chunk') as chunk,
        any_value(found) filter (part = 'prefill') as prefill,
        array_to_string(list_sort(list_distinct(flatten(list(relatives)))), ', ') as relatives,
    from found
    group by all
),

estimate as (
    select
        run.serving_id,
        run.running,
        run.decode_rows,
        run.step_prompt_tokens,
        run.chunk_tokens,
        run.host_s,
        run.output_tokens,
        part.relatives,
        -- share of the steps that hold a chunk, and prompts that a step of a replica holds
        coalesce(run.step_prompt_tokens / run.chunk_tokens, 0) as chunk_share,
        coalesce(run.step_prompt_tokens / run.prompt_tokens, 0) as prompts,
        if(prompts > 0, prompts * part.prefill.apart_bound_s, 0) + part.decode.apart_bound_s
            as apart_bound_s,
        if(prompts > 0, prompts * part.prefill.apart_s, 0) + part.decode.apart_s as apart_s,
        part.decode.shared_bound_s + part.decode.apart_bound_s as bound_decode_s,
        -- prompts may be spread over the steps evenly or in chunks as large as can be; the faster of both bounds
        part.decode.shared_bound_s as decode_bound_s,
        decode_bound_s * (1 - chunk_share) + part.chunk.shared_bound_s * chunk_share
            as chunk_bound_s,
        part.mean.shared_bound_s as mean_bound_s,
        part.decode.shared_s * (1 - chunk_share)
        + coalesce(part.chunk.shared_s * chunk_share, 0) as shared_s,
        part.prefill.shared_bound_s + part.prefill.apart_bound_s as bound_ttft_s,
        part.prefill.shared_s + part.prefill.apart_s + run.host_s as expected_ttft_s,
        (part.decode.covered_s) / (part.decode.shared_bound_s + part.decode.apart_bound_s)
            as covered_share,
        run.fitting,
        run.model_id,
        run.precision_id,
        run.hardware_id,
        run.expert_parallel,
        run.is_speculative,
        run.requests,
    from serving_step as run
    left join part using (serving_id)
),

reasoned as (
    select
        estimate.*,
        case
            when run.model_id is null then 'model not in the catalog: ' || run.model
            when run.precision_id is null
                then 'precision not known: '
                || coalesce(run.precision, 'that of the published weights')
            when is_speculative then 'speculative decoding: a step may yield several tokens'
            when requests is null then 'number of decode workers not stated'
            when estimate.expert_parallel is null
                then 'sharing of experts not stated, or both split and spread'
            when runnable.precision_id is null then 'no roof of the device for the precision'
            when fitting is null then 'devices cannot share the model so'
            when fitting = 0 then 'weights and one request do not fit in the memory'
            when run.output_tokens = 1 then 'no token after the first'
            when decode_bound_s is null then 'no bandwidth known between the devices'
        end as no_bound,
    from estimate
    inner join core.serving_measurement as run
        on estimate.serving_id = run.serving_id
    left join core.runnable_precision as runnable
        on
            run.hardware_id = runnable.hardware_id
            and run.precision_id = runnable.precision_id
)

select
    serving_id,
    running,
    if(running > 0, decode_rows, null) as decode_rows,
    step_prompt_tokens,
    chunk_tokens,
    if(bound_ttft_s > 0, bound_ttft_s, null) as bound_ttft_s,
    if(
        no_bound is null,
        coalesce(least(mean_bound_s, chunk_bound_s), decode_bound_s) + apart_bound_s,
        null
    ) as bound_tpot_s,
    if(expected_ttft_s > 0 and bound_ttft_s > 0, expected_ttft_s, null) as expected_ttft_s,
    if(no_bound is null, shared_s + apart_s + host_s, null) as expected_tpot_s,
    covered_share,
    nullif(relatives, '') as transferred_from,
    no_bound,
    host_s,
    if(no_bound is null, bound_decode_s, null) as bound_decode_s,
from reasoned
order by serving_id
