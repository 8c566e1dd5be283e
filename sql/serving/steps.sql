-- one row per run of an engine whose model, precision and sharing are known: what its steps hold
with
side as (
    select
        run.serving_id,
        run.hardware_id,
        run.model_id,
        run.precision_id,
        run.mode,
        run.prompt_tokens,
        run.output_tokens,
        run.tensor_parallel,
        coalesce(run.expert_parallel, if(model.num_experts is null, 1, null)) as expert_parallel,
        run.pipeline_parallel,
        run.data_parallel,
        if(run.mode = 'disaggregated', run.prefill_tensor_parallel, run.tensor_parallel)
            as prefill_tensor_parallel,
        coalesce(
            if(run.mode = 'disaggregated', run.prefill_expert_parallel, run.expert_parallel),
            if(model.num_experts is null, 1, null)
        ) as prefill_expert_parallel,
        coalesce(
            if(run.mode = 'disaggregated', run.prefill_pipeline_parallel, run.pipeline_parallel), 1
        ) as prefill_pipeline_parallel,
        coalesce(if(run.mode = 'disaggregated', run.prefill_data_parallel, run.data_parallel), 1)
            as prefill_data_parallel,
        -- requests are spread over the workers that decode
        if(
            run.mode = 'disaggregated',
            ceil(run.concurrency / run.decode_workers),
            run.concurrency
        )::bigint as requests,
        -- steps go from the first token to the last: on average, half of the output precedes
        run.prompt_tokens + run.output_tokens // 2 as context_tokens,
        coalesce(own.memory_share, every.memory_share, 1) as memory_share,
        coalesce(own.token_budget, every.token_budget) as token_budget,
        coalesce(own.host_s, every.host_s, 0) as host_s,
        run.speculative is not null as is_speculative,
    from core.serving_measurement as run
    left join core.model as model
        on run.model_id = model.model_id
    left join core.engine as own
        on run.engine = own.engine and run.hardware_id = own.hardware_id
    left join core.engine as every
        on run.engine = every.engine and every.hardware_id = ''
),

held as (
    select
        side.*,
        mart.largest_batch(
            hardware.memory_bytes,
            held_weights.weight_bytes + held_weights.tower_bytes,
            mart.kv_memory_bytes(
                shard, model.sliding_window, side.context_tokens, precision.kv_bits
            )
            + mart.indexer_memory_bytes(shard, side.context_tokens, precision.kv_bits)
            + mart.state_memory_bytes(shard, precision.state_bits, precision.activation_bits),
            free_share := 1 - side.memory_share
        ) * side.data_parallel as fitting,
    from side
    left join core.hardware as hardware using (hardware_id)
    left join core.model as model using (model_id)
    left join core.precision as precision using (precision_id)
    left join core.model_shard as shard
        using (model_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel)
    left join core.weight_memory as held_weights using (
        model_id, precision_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel
    )
),

running as (
    select
        *,
        least(requests, fitting) as running,
        -- of one replica, as a request that ends is followed by the prompt of the next
        if(mode = 'steady', prompt_tokens / output_tokens, 0) as prompt_tokens_a_token,
        running / data_parallel as of_replica,
    from held
),

decoding as (
    select
        *,
        if(
            token_budget is null,
            of_replica,
            least(of_replica, greatest(token_budget / (1 + prompt_tokens_a_token), 1))
        ) as replica_rows,
        greatest(least(ceil(replica_rows * data_parallel), running), 1)::bigint as decode_rows,
        replica_rows * prompt_tokens_a_token as step_prompt_tokens,
    from running
)

select
    * exclude (of_replica, replica_rows, prompt_tokens_a_token),
    -- a prompt at once, unless the budget or the prompts that come together say otherwise
    if(
        step_prompt_tokens > 0,
        ceil(
            greatest(
                least(prompt_tokens, coalesce(token_budget - ceil(replica_rows), prompt_tokens)),
                step_prompt_tokens,
                1
            )
        ),
        null
    )::bigint as chunk_tokens,
from decoding
order by serving_id
