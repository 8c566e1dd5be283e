-- one row per run of a serving engine
create or replace view mart.measured_serving as
with
placed as (
    select
        run.*,
        estimate.* exclude (serving_id),
        if(run.output_tokens = 1, 0, (run.output_tokens - 1) * estimate.bound_tpot_s)
        + estimate.bound_ttft_s as bound_request_s,
        if(run.output_tokens = 1, 0, (run.output_tokens - 1) * estimate.expected_tpot_s)
        + estimate.expected_ttft_s as expected_request_s,
        -- the requests of one worker that decodes
        ceil(run.concurrency / if(run.mode = 'disaggregated', run.decode_workers, 1))::bigint
            as requests,
        case
            when run.tpot_s is not null then estimate.bound_tpot_s / run.tpot_s
            -- with others in flight, most of a request's time is waiting
            when run.request_s is not null then bound_request_s / run.request_s
            else estimate.bound_ttft_s / run.ttft_s
        end as share_of_bound,
        run.output_tokens > 1 or run.tpot_s is not null as has_steps,
        -- Little's law: requests are in flight while they wait for their first token, and while they decode
        run.concurrency * (run.output_tokens - 1) * run.tpot_s
        / (run.ttft_s + (run.output_tokens - 1) * run.tpot_s) as decoding,
    from core.serving_measurement as run
    left join core.serving_estimate as estimate using (serving_id)
)

select
    engine,
    engine_version,
    hardware_id,
    model_id,
    precision_id,
    tensor_parallel,
    expert_parallel,
    data_parallel,
    concurrency,
    prompt_tokens,
    output_tokens,
    ttft_s,
    tpot_s,
    bound_ttft_s,
    bound_tpot_s,
    expected_ttft_s,
    expected_tpot_s,
    share_of_bound,
    nullif(
        concat_ws(
            '; ',
            if(has_steps, no_bound, null),
            case
                when no_bound is null and running < requests
                    then format(
                        'KV cache: at most {} of {} requests fit at once', running, requests
                    )
            end,
            case
                when no_bound is null and decode_rows < running
                    then format(
                        'token budget of a step: {} of {} requests decode beside the prompts',
                        decode_rows,
                        running
                    )
            end,
            case
                when share_of_bound > 1 and tpot_s < bound_decode_s
                    then 'above the bound: its steps cannot have held so many requests, or their KV cache in so many bits'
                when share_of_bound > 1
                    then 'above the bound: its steps cannot have held the prompts that so many requests bring'
            end,
            if(bound_ttft_s > ttft_s, 'first token before the bound: prefixes are cached', null),
            case
                when mode <> 'batch' and concurrency > 1 and ttft_s > expected_ttft_s
                    then 'first token waits for other requests'
                    || if(
                        mode = 'steady' and decoding < 0.9 * concurrency,
                        format(
                            ', so {} of {} decode on average',
                            greatest(round(decoding), 1)::bigint,
                            concurrency
                        ),
                        ''
                    )
                    || '; expected is an idle server'
            end,
            case
                when covered_share < 0.9
                    then format(
                        'expected at the roof for {}% of the least time: no calibration',
                        round(100 * (1 - covered_share))::int
                    )
            end
        ),
        ''
    ) as cause,
    source.origin as source,
    serving_id,
    mode,
    pipeline_parallel,
    running,
    decode_rows,
    step_prompt_tokens,
    bound_decode_s,
    request_s,
    bound_request_s,
    expected_request_s,
    expected_tpot_s / tpot_s - 1 as relative_error,
    covered_share,
    transferred_from,
    host_s,
    model,
    precision,
    has_mean_lengths,
    prefill_tensor_parallel,
    prefill_expert_parallel,
    prefill_pipeline_parallel,
    prefill_data_parallel,
    prefill_workers,
    decode_workers,
    method,
    measured_at,
    source_id,
from placed
inner join core.source as source using (source_id);

comment on view mart.measured_serving is 'one row per run of a serving engine: its measured times beside what they are at the least and expected to be';
comment on column mart.measured_serving.share_of_bound is 'share of the bound that is reached: bound / measured time per output token; of whole requests, or of first tokens, where no such time is measured';
comment on column mart.measured_serving.cause is 'why there is no bound, why fewer requests run at once, why the share is above 1, why the first token comes late, what is not calibrated; null if there is nothing to say';
comment on column mart.measured_serving.source is 'who measured it, and how';
comment on column mart.measured_serving.bound_request_s is 'lower bound of the time of a whole request: the first token, and output - 1 steps';
comment on column mart.measured_serving.expected_request_s is 'expected time of a whole request on a server that is idle when it comes';
comment on column mart.measured_serving.relative_error is 'predicted time / measured time - 1';
