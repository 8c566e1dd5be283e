-- one row per sweep, device, model, convention, precision, phase, setting and sharing
create or replace view mart.sweep_step as
with
cost as (
    select * from mart.sweep_cost
),

-- the made-up devices of a sweep, and as number 0 the one that they are like; without any, every device of the catalog
device as (
    select
        sweep_id,
        device_number,
        hardware_id,
        bandwidth_bytes_per_s as given_bandwidth_bytes_per_s,
        memory_bytes as given_memory_bytes,
        link_bytes_per_s as given_link_bytes_per_s,
        peaks as given_peaks,
    from core.sweep_device
    union all by name
    select
        sweep.sweep_id,
        0 as device_number,
        hardware.hardware_id,
        map {}::map(varchar, double) as given_peaks,
    from core.sweep as sweep
    cross join core.hardware as hardware
    where sweep.device_like is null or hardware.hardware_id = sweep.device_like
),

roof as (
    select
        device.sweep_id,
        device.device_number,
        device.hardware_id,
        known.dtype,
        known.level,
        known.reduces_in_switch,
        coalesce(device.given_peaks[known.dtype], known.peak_flops_per_s) as peak_flops_per_s,
        coalesce(
            case known.level
                when 'dram' then device.given_bandwidth_bytes_per_s
                when 'interconnect' then device.given_link_bytes_per_s
            end,
            known.bandwidth_bytes_per_s
        ) as bandwidth_bytes_per_s,
    from device
    inner join mart.roof_by_level as known using (hardware_id)
    where known.is_default and known.level in ('dram', 'interconnect')
),

placed as (
    select
        cost.* exclude (activation_bytes, bytes, intensity_flops_per_byte),
        roof.* exclude (sweep_id, level),
        mart.reduction(
            if(contains(cost.op, 'all_reduce'), 'all_reduce', ''), roof.reduces_in_switch
        ) as algorithm,
        -- costs count the ring of an all-reduce
        if(algorithm = 'switch', mart.switch_bytes(cost.bytes, cost.tensor_parallel), cost.bytes)
            as bytes,
        if(algorithm = 'switch', cost.flops / bytes, cost.intensity_flops_per_byte)
            as intensity_flops_per_byte,
        if(algorithm = 'switch', bytes, cost.activation_bytes) as activation_bytes,
    from cost
    inner join core.precision as precision using (precision_id)
    inner join roof
        on
            cost.sweep_id = roof.sweep_id
            -- files of earlier versions have no dtype of their own
            and coalesce(cost.compute_dtype, precision.compute_dtype) = roof.dtype
            and cost.level = roof.level
    semi join core.runnable_precision as runnable
        on roof.hardware_id = runnable.hardware_id and cost.precision_id = runnable.precision_id
),

point as (
    select
        sweep_id,
        device_number,
        hardware_id,
        model_id,
        convention,
        precision_id,
        phase,
        batch_size,
        sequence_length,
        query_length,
        tensor_parallel,
        expert_parallel,
        pipeline_parallel,
        data_parallel,
        op,
        op_group,
        flops,
        bytes,
        activation_bytes,
        kv_bytes,
        level,
        mart.roof_bound(
            intensity_flops_per_byte, peak_flops_per_s / bandwidth_bytes_per_s, level
        ) as bound,
        mart.roof_time_s(peak_flops_per_s, bandwidth_bytes_per_s, flops, bytes) as lower_bound_s,
        repeat,
        idle_repeat,
        kind,
        m,
        k,
        n,
        matrices,
        kv_heads,
        head_dim,
        dtype,
        algorithm,
        peak_flops_per_s,
        bandwidth_bytes_per_s,
    from placed
),

timed_point as (
    select
        * exclude (
            kv_bytes, kind, m, k, n, matrices, kv_heads, head_dim, dtype, algorithm, peak_flops_per_s,
            bandwidth_bytes_per_s
        ),
        true as is_slowest,
    from point
),

group_time as (
    select * from mart.op_group_times('timed_point')
),

-- the calibration is that of the device that a made-up one is like: shares of its ceilings, not rates
shaped_point as (
    select * from point
    where kind is not null
),

expected_op as (
    select
        sweep_id,
        device_number,
        hardware_id,
        model_id,
        convention,
        precision_id,
        phase,
        batch_size,
        sequence_length,
        query_length,
        tensor_parallel,
        expert_parallel,
        pipeline_parallel,
        data_parallel,
        fusion,
        op_group,
        op,
        level,
        predicted_s,
        lower_bound_s,
        start_s,
        gap_s,
        graph_gap_s,
        is_covered,
        transferred_from,
    from mart.step_ops('shaped_point')
    where fusion = 'engine'
),

expected as (
    select * from mart.expected_steps('expected_op')
    where is_default_launch
),

ceiling as (
    select
        sweep_id,
        device_number,
        hardware_id,
        any_value(bandwidth_bytes_per_s) filter (level = 'dram') as bandwidth_bytes_per_s,
        any_value(bandwidth_bytes_per_s) filter (level = 'interconnect') as link_bytes_per_s,
        map_from_entries(list((dtype, peak_flops_per_s) order by dtype) filter (level = 'dram')) as peaks,
    from roof
    group by all
)

select
    sweep_id,
    device_number,
    hardware_id,
    step.model_id,
    step.convention,
    step.precision_id,
    step.phase,
    step.batch_size,
    step.sequence_length,
    step.query_length,
    step.tensor_parallel,
    step.expert_parallel,
    step.pipeline_parallel,
    step.data_parallel,
    device_number > 0 as is_made_up,
    ceiling.bandwidth_bytes_per_s,
    ceiling.peaks[main.compute_dtype] as peak_flops_per_s,
    coalesce(device.given_memory_bytes, hardware.memory_bytes) as device_memory_bytes,
    ceiling.link_bytes_per_s,
    step.flops,
    step.bytes,
    step.interconnect_bytes,
    step.lower_bound_s,
    step.tokens_per_s,
    expected.predicted_s,
    expected.tokens_per_s as expected_tokens_per_s,
    step.weight_memory_bytes,
    step.kv_memory_bytes,
    step.memory_bytes,
    mart.fits_in_memory(
        step.memory_bytes, coalesce(device.given_memory_bytes, hardware.memory_bytes)
    ) as fits_in_memory,
    step.dominant_op_group,
    step.dominant_share,
    step.memory_s,
    step.compute_s,
    step.interconnect_s,
    step.bound,
    step.activation_memory_bytes,
    step.bubble_s,
    expected.covered_share,
    expected.uncovered_ops,
    expected.transferred_from,
    ceiling.peaks,
from mart.step_times('group_time') as step
inner join (
    select precision_id as main_precision_id, compute_dtype,
    from core.precision
) as main on step.precision_id = main.main_precision_id
inner join device using (sweep_id, device_number, hardware_id)
inner join ceiling using (sweep_id, device_number, hardware_id)
inner join core.hardware as hardware using (hardware_id)
left join expected using (
    sweep_id, device_number, hardware_id, model_id, convention, precision_id, phase, batch_size, sequence_length,
    query_length, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel
);

comment on view mart.sweep_step is 'one row per sweep, device, model, convention, precision, phase, setting and sharing: a whole step of the model on the made-up devices of the sweep, and on the one that they are like, at the roof and as expected; of a sweep without made-up devices, on every device of the catalog, at the roof';
comment on column mart.sweep_step.device_number is 'number of the made-up device in its sweep, from 1; 0: the device of the catalog itself';
comment on column mart.sweep_step.hardware_id is 'the device of the catalog: the one that a made-up device is like';
comment on column mart.sweep_step.is_made_up is 'whether the device is made up';
comment on column mart.sweep_step.bandwidth_bytes_per_s is 'bandwidth of DRAM';
comment on column mart.sweep_step.peak_flops_per_s is 'dense peak of the dtype that most parts of the precision compute in';
comment on column mart.sweep_step.peaks is 'dtype -> dense peak of the device, FLOP/s';
comment on column mart.sweep_step.device_memory_bytes is 'memory of one device';
comment on column mart.sweep_step.link_bytes_per_s is 'bandwidth of the interconnect, sent by one device, one way; null if not published';
comment on column mart.sweep_step.interconnect_bytes is 'bytes that one device sends to others';
comment on column mart.sweep_step.lower_bound_s is 'lower bound of the step''s time: the sum over its ops, and the time that a device waits for other stages';
comment on column mart.sweep_step.tokens_per_s is 'tokens of mart.step_time per second of the least time';
comment on column mart.sweep_step.predicted_s is 'expected time of the step, as in mart.predicted_step with the default launch and fusion engine; a made-up device reaches the shares of its own ceilings, and has the times between kernels, of the device that it is like; null without made-up devices';
comment on column mart.sweep_step.expected_tokens_per_s is 'tokens of mart.step_time per second of the expected time';
comment on column mart.sweep_step.weight_memory_bytes is 'weights that one device holds; like memory_bytes null if no workload of the catalog shares the model so';
comment on column mart.sweep_step.kv_memory_bytes is 'KV cache that one device holds, at the end of the context: that of its replica''s part of the batch, batch_size / data_parallel rounded up';
comment on column mart.sweep_step.memory_bytes is 'weights with towers, KV cache, keys of indexers and state of one device: what it holds between steps, so without activations';
comment on column mart.sweep_step.fits_in_memory is 'whether memory_bytes fit the device, none of which is left free';
comment on column mart.sweep_step.dominant_op_group is 'op group that takes the most of the least time';
comment on column mart.sweep_step.dominant_share is 'its share of the time';
comment on column mart.sweep_step.memory_s is 'time in memory-bound ops';
comment on column mart.sweep_step.compute_s is 'time in compute-bound ops';
comment on column mart.sweep_step.interconnect_s is 'time in ops that wait for the interconnect';
comment on column mart.sweep_step.bound is 'what takes the most of the least time: memory, compute or interconnect';
comment on column mart.sweep_step.activation_memory_bytes is 'activations of one device at the peak of a step';
comment on column mart.sweep_step.bubble_s is 'time that a device waits for the other stages of a pipeline, less that of ops that run meanwhile; 0 without one';
comment on column mart.sweep_step.covered_share is 'share of the least time of the ops that calibrations cover; the others count at the roof';
comment on column mart.sweep_step.uncovered_ops is 'ops that no calibration covers; null if there are none';
comment on column mart.sweep_step.transferred_from is 'the devices that were measured, if it is another one than the device of the catalog';
