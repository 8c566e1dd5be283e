-- what a measurement file says beside its kernels: the device's own name, matrices of a batched product
drop table core.measurement;
create table core.measurement (
    measurement_id varchar primary key,
    hardware_id varchar not null,
    device_name varchar,
    model_id varchar,
    op varchar not null,
    op_group varchar not null,
    phase varchar,
    kind varchar not null,
    m bigint check (m > 0),
    k bigint check (k > 0),
    n bigint check (n > 0),
    batch_size bigint check (batch_size > 0),
    sequence_length bigint check (sequence_length > 0),
    query_length bigint check (query_length > 0),
    heads bigint check (heads > 0),
    kv_heads bigint check (kv_heads > 0),
    head_dim bigint check (head_dim > 0),
    matrices double not null check (isfinite(matrices) and matrices > 0),
    tensor_parallel bigint not null check (tensor_parallel > 0),
    dtype varchar not null,
    flops double not null check (isfinite(flops) and flops >= 0),
    bytes double not null check (isfinite(bytes) and bytes > 0),
    latency_s double not null check (isfinite(latency_s) and latency_s > 0),
    latency_min_s double check (isfinite(latency_min_s) and latency_min_s > 0),
    latency_std_s double check (isfinite(latency_std_s) and latency_std_s >= 0),
    repeats bigint check (repeats > 0),
    method varchar not null,
    software varchar,
    measured_at timestamptz,
    source_id varchar not null
);
comment on table core.measurement is 'one row per measured kernel: its shape and its time';
comment on column core.measurement.measurement_id is 'file and row of the measurement';
comment on column core.measurement.hardware_id is 'the device, by the name of its file';
comment on column core.measurement.device_name is 'what the device calls itself';
comment on column core.measurement.model_id is 'the model, by the name of its config file; of ops of one''s own, the name of their file';
comment on column core.measurement.op is 'the operator';
comment on column core.measurement.op_group is 'group that it is drawn with';
comment on column core.measurement.phase is 'prefill, decode or speculative; null for a kernel of no model';
comment on column core.measurement.kind is 'formula of its cost, as in core.op_shape; or copy or triad, which show the bandwidth';
comment on column core.measurement.m is 'rows of the product, of all its matrices together; of attention, those of one head; of an element-wise op, rows of its output';
comment on column core.measurement.k is 'inner dimension of the product; null for an element-wise op';
comment on column core.measurement.n is 'columns of the product or of the element-wise output';
comment on column core.measurement.batch_size is 'sequences in the batch, b';
comment on column core.measurement.sequence_length is 'prompt length in prefill, context length otherwise, s';
comment on column core.measurement.query_length is 'query tokens a sequence, q: s in prefill, 1 in decode, the candidates in speculative';
comment on column core.measurement.heads is 'query heads of an attention op';
comment on column core.measurement.kv_heads is 'key and value heads of an attention op';
comment on column core.measurement.head_dim is 'head size of an attention op: queries and keys';
comment on column core.measurement.matrices is 'weight matrices that a product reads: 1; of a mixture, the distinct experts to expect under uniform routing; of a product by heads, the heads';
comment on column core.measurement.tensor_parallel is 'devices that share the layer; the shape is one device''s share';
comment on column core.measurement.dtype is 'dtype of the arithmetic';
comment on column core.measurement.flops is 'FLOP of one execution; 2 per multiply-add';
comment on column core.measurement.bytes is 'weights, activations and KV cache together';
comment on column core.measurement.latency_s is 'median time of one execution';
comment on column core.measurement.latency_min_s is 'least time of one execution';
comment on column core.measurement.latency_std_s is 'standard deviation of the times';
comment on column core.measurement.repeats is 'executions that were timed';
comment on column core.measurement.method is 'clock and conditions: cuda-event, graph, wall clock, cold or warm caches';
comment on column core.measurement.software is 'driver and library versions';
comment on column core.measurement.measured_at is 'when it was measured';
comment on column core.measurement.source_id is 'file that carries it';

alter table core.hardware add column multiprocessors bigint;
comment on column core.hardware.multiprocessors is 'units among which a kernel''s tiles are dealt out; null where not published';

drop table core.calibration;
create table core.calibration (
    hardware_id varchar not null,
    op_kind varchar not null,
    dtype varchar not null,
    compute_efficiency double not null
        check (isfinite(compute_efficiency) and compute_efficiency > 0),
    bandwidth_efficiency double not null
        check (isfinite(bandwidth_efficiency) and bandwidth_efficiency > 0),
    overhead_s double not null check (isfinite(overhead_s) and overhead_s >= 0),
    blend double not null check (isfinite(blend) and blend > 0),
    tile_limit double check (isfinite(tile_limit) and tile_limit >= 0),
    wave_exponent double check (isfinite(wave_exponent) and wave_exponent >= 0),
    partial_wave_exponent double
        check (isfinite(partial_wave_exponent) and partial_wave_exponent >= 0),
    tile_blend double check (isfinite(tile_blend) and tile_blend > 0),
    sustained_exponent double
        check (isfinite(sustained_exponent) and sustained_exponent >= 0),
    n_points bigint not null check (n_points > 0),
    fit_mape double not null check (isfinite(fit_mape) and fit_mape >= 0),
    holdout_mape double check (isfinite(holdout_mape) and holdout_mape >= 0),
    transferred_from varchar,
    origin varchar not null check (length(trim(origin)) > 0),
    source_id varchar not null,
    primary key (hardware_id, op_kind, dtype)
);
comment on table core.calibration is 'one row per device, kind of op and dtype: a roof fitted to measurements';
comment on column core.calibration.hardware_id is 'the device, by the name of its file';
comment on column core.calibration.op_kind is 'kind of op, as in core.op_shape';
comment on column core.calibration.dtype is 'dtype of the arithmetic';
comment on column core.calibration.compute_efficiency is 'share of the peak that is reached, at the largest tile';
comment on column core.calibration.bandwidth_efficiency is 'share of the bandwidth that is reached';
comment on column core.calibration.overhead_s is 'time of a launch';
comment on column core.calibration.blend is 'exponent that joins compute and memory time';
comment on column core.calibration.tile_limit is 'intensity of a tile, in outputs, at which it reaches half of its rate; null without tiles';
comment on column core.calibration.wave_exponent is 'how much a last wave that is not full costs: 0 nothing, 1 all of it; null without tiles';
comment on column core.calibration.partial_wave_exponent is 'the same where all tiles are less than one wave; null without tiles';
comment on column core.calibration.tile_blend is 'exponent that joins the sizes of tiles: the larger, the more the fastest counts; null without tiles';
comment on column core.calibration.sustained_exponent is 'how products longer than a millisecond slow down; null where they do not';
comment on column core.calibration.n_points is 'measurements that it was fitted to';
comment on column core.calibration.fit_mape is 'mean absolute error of the fit, as a share of the time';
comment on column core.calibration.holdout_mape is 'mean absolute error on measurements that were held out, as a share of the time; null where none could be';
comment on column core.calibration.transferred_from is 'the device that was measured, where it is another';
comment on column core.calibration.origin is 'measurements that it was fitted to';
comment on column core.calibration.source_id is 'file that carries it';
