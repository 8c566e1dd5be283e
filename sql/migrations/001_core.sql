-- the tables of the first release
create schema core;
create schema mart;

create table core.schema_migration (
    version integer primary key,
    name varchar not null,
    applied_at timestamptz not null default current_timestamp
);
comment on table core.schema_migration is 'one row per migration that has been applied';
comment on column core.schema_migration.version is 'number at the head of the file''s name';
comment on column core.schema_migration.name is 'file in sql/migrations';
comment on column core.schema_migration.applied_at is 'when it was applied';

create table core.run (
    run_id varchar primary key,
    run_number bigint not null check (run_number > 0),
    started_at timestamptz not null,
    finished_at timestamptz,
    status varchar not null
        check (status in ('running', 'succeeded', 'unchanged', 'failed')),
    code_version varchar not null,
    inputs_sha256 varchar,
    flow_run_id varchar,
    error varchar,
    check (finished_at >= started_at)
);
comment on table core.run is 'one row per run of the refresh flow; a run that published nothing shows from the next publication on';
comment on column core.run.run_id is 'start time and a random suffix';
comment on column core.run.run_number is 'order of the runs of this home, whatever the clock says';
comment on column core.run.started_at is 'when the run began';
comment on column core.run.finished_at is 'when its rows were ready for readers, or when it failed';
comment on column core.run.status is 'running, succeeded, unchanged (same inputs as the published run) or failed';
comment on column core.run.code_version is 'version of the package and digest of the code and SQL that ran';
comment on column core.run.inputs_sha256 is 'digest over the sources and the code version; equal digests give equal rows';
comment on column core.run.flow_run_id is 'id of the flow run in Prefect, where Prefect ran it';
comment on column core.run.error is 'why it failed, in one line';

create table core.run_change (
    run_id varchar not null,
    table_name varchar not null,
    rows bigint not null check (rows >= 0),
    inserted bigint not null check (inserted >= 0),
    updated bigint not null check (updated >= 0),
    deleted bigint not null check (deleted >= 0),
    inputs_sha256 varchar not null check (length(inputs_sha256) = 64),
    primary key (run_id, table_name)
);
comment on table core.run_change is 'one row per run and table: how many rows it holds after the run, and what the run did to them';
comment on column core.run_change.run_id is 'the run';
comment on column core.run_change.table_name is 'table in core';
comment on column core.run_change.rows is 'rows in the table after the run';
comment on column core.run_change.inserted is 'rows that the run added';
comment on column core.run_change.updated is 'rows that the run changed';
comment on column core.run_change.deleted is 'rows that the run took out';
comment on column core.run_change.inputs_sha256 is 'digest of what the table''s rows were made from';

create table core.source (
    source_id varchar primary key,
    kind varchar not null
        check (kind in (
            'hardware', 'model', 'workload', 'precision', 'elementwise', 'ops', 'measurement', 'calibration'
        )),
    path varchar not null,
    sha256 varchar not null check (length(sha256) = 64),
    size_bytes bigint not null check (size_bytes >= 0),
    origin varchar not null,
    license varchar,
    ingested_at timestamptz not null
);
comment on table core.source is 'one row per input file of the published run';
comment on column core.source.source_id is 'catalog (shipped, home or given), kind and file name without its ending';
comment on column core.source.kind is 'what the file describes';
comment on column core.source.path is 'where the file lies, relative to its catalog''s home';
comment on column core.source.sha256 is 'digest of the file''s bytes';
comment on column core.source.size_bytes is 'size of the file';
comment on column core.source.origin is 'who published the figures, and where';
comment on column core.source.license is 'licence of the file, where it states one';
comment on column core.source.ingested_at is 'start of the run that first read these bytes';

create table core.hardware (
    hardware_id varchar primary key,
    name varchar not null,
    short_name varchar not null,
    vendor varchar not null,
    architecture varchar not null,
    memory_bytes double not null check (isfinite(memory_bytes) and memory_bytes > 0),
    tdp_w double check (isfinite(tdp_w) and tdp_w > 0),
    source_id varchar not null
);
comment on table core.hardware is 'one row per device';
comment on column core.hardware.hardware_id is 'the device, by the name of its file';
comment on column core.hardware.name is 'full name';
comment on column core.hardware.short_name is 'name on charts';
comment on column core.hardware.vendor is 'who makes it';
comment on column core.hardware.architecture is 'the vendor''s name for the generation';
comment on column core.hardware.memory_bytes is 'device memory (1 GB = 1e9 bytes)';
comment on column core.hardware.tdp_w is 'thermal design power in watts; null where not published';
comment on column core.hardware.source_id is 'file that describes it';

create table core.ceiling (
    hardware_id varchar not null,
    kind varchar not null check (kind in ('compute', 'bandwidth')),
    name varchar not null,
    basis varchar not null check (basis in ('datasheet', 'as_printed', 'measured')),
    value_per_s double not null check (isfinite(value_per_s) and value_per_s > 0),
    is_default boolean not null,
    origin varchar not null check (length(trim(origin)) > 0),
    note varchar,
    source_id varchar not null,
    primary key (hardware_id, kind, name, basis)
);
comment on table core.ceiling is 'one row per limit of a device and basis: FLOP/s of a dtype (dense), or bytes/s of a memory level';
comment on column core.ceiling.hardware_id is 'the device, by the name of its file';
comment on column core.ceiling.kind is 'compute (FLOP/s) or bandwidth (bytes/s)';
comment on column core.ceiling.name is 'dtype of a compute ceiling, memory level of a bandwidth ceiling';
comment on column core.ceiling.basis is 'where the value comes from: datasheet, as_printed (a published chart) or measured';
comment on column core.ceiling.value_per_s is 'FLOP/s or bytes/s; 2 FLOP per multiply-add, always dense';
comment on column core.ceiling.is_default is 'whether points are held against this basis; one per device, kind and name';
comment on column core.ceiling.origin is 'document that states the value';
comment on column core.ceiling.note is 'what to know about the value';
comment on column core.ceiling.source_id is 'file that carries it';

create table core.model (
    model_id varchar primary key,
    short_name varchar not null,
    architecture varchar not null,
    hidden_size bigint not null check (hidden_size > 0),
    intermediate_size bigint not null check (intermediate_size > 0),
    num_layers bigint not null check (num_layers > 0),
    num_heads bigint not null check (num_heads > 0),
    num_kv_heads bigint not null check (num_kv_heads > 0),
    head_dim bigint not null check (head_dim > 0),
    vocab_size bigint not null check (vocab_size > 0),
    num_experts bigint check (num_experts > 0),
    experts_per_token bigint check (experts_per_token > 0),
    parameters bigint not null check (parameters > 0),
    source_id varchar not null
);
comment on table core.model is 'one row per model';
comment on column core.model.model_id is 'the model, by the name of its config file';
comment on column core.model.short_name is 'name on charts';
comment on column core.model.architecture is 'class that the Hugging Face config names';
comment on column core.model.hidden_size is 'width of the residual stream, h';
comment on column core.model.intermediate_size is 'width of the feed-forward layer, i';
comment on column core.model.num_layers is 'decoder layers';
comment on column core.model.num_heads is 'query heads, H';
comment on column core.model.num_kv_heads is 'key and value heads, H_kv';
comment on column core.model.head_dim is 'size of one head, d';
comment on column core.model.vocab_size is 'tokens in the vocabulary';
comment on column core.model.num_experts is 'experts of a mixture; null for a dense model';
comment on column core.model.experts_per_token is 'experts that a token is sent to; null for a dense model';
comment on column core.model.parameters is 'weights, counted from the config';
comment on column core.model.source_id is 'config file';

create table core.precision (
    precision_id varchar primary key,
    weight_bits double not null check (weight_bits > 0 and weight_bits <= 64),
    activation_bits double not null check (activation_bits > 0 and activation_bits <= 64),
    kv_bits double not null check (kv_bits > 0 and kv_bits <= 64),
    compute_dtype varchar not null,
    origin varchar not null,
    source_id varchar not null
);
comment on table core.precision is 'one row per precision: bits of each operand and the dtype of the arithmetic';
comment on column core.precision.precision_id is 'the precision';
comment on column core.precision.weight_bits is 'bits of a weight';
comment on column core.precision.activation_bits is 'bits of an activation';
comment on column core.precision.kv_bits is 'bits of an element of the KV cache';
comment on column core.precision.compute_dtype is 'dtype whose peak limits the arithmetic';
comment on column core.precision.origin is 'document that defines the format';
comment on column core.precision.source_id is 'file that describes it';

create table core.elementwise (
    kind varchar primary key,
    flops_per_element double not null
        check (isfinite(flops_per_element) and flops_per_element >= 0),
    reads_per_element double not null
        check (isfinite(reads_per_element) and reads_per_element >= 0),
    writes_per_element double not null
        check (isfinite(writes_per_element) and writes_per_element >= 0),
    origin varchar not null,
    note varchar,
    source_id varchar not null
);
comment on table core.elementwise is 'one row per kind of op that is no matrix product: what an element of its output costs';
comment on column core.elementwise.kind is 'kind of op, as in core.op_shape';
comment on column core.elementwise.flops_per_element is 'FLOP per element';
comment on column core.elementwise.reads_per_element is 'activations read per element';
comment on column core.elementwise.writes_per_element is 'activations written per element';
comment on column core.elementwise.origin is 'document that counts so';
comment on column core.elementwise.note is 'what to know about the count';
comment on column core.elementwise.source_id is 'file that carries it';

create table core.workload (
    workload_id varchar primary key,
    name varchar not null,
    phases varchar[] not null,
    batch_sizes bigint[] not null,
    sequence_lengths bigint[] not null,
    candidates bigint[] not null,
    conventions varchar[] not null,
    precisions varchar[] not null,
    tensor_parallel bigint[] not null,
    models varchar[],
    source_id varchar not null
);
comment on table core.workload is 'one row per workload: the settings that models are computed at';
comment on column core.workload.workload_id is 'id of the workload, the name of its file';
comment on column core.workload.name is 'full name';
comment on column core.workload.phases is 'phases that are computed';
comment on column core.workload.batch_sizes is 'sequences in a batch';
comment on column core.workload.sequence_lengths is 'prompt length in prefill, context length in decode';
comment on column core.workload.candidates is 'candidate tokens that a speculative step verifies at once';
comment on column core.workload.conventions is 'which ops exist and how they are fused';
comment on column core.workload.precisions is 'precisions that are computed';
comment on column core.workload.tensor_parallel is 'devices that share one layer';
comment on column core.workload.models is 'models that it is computed for; null for every model';
comment on column core.workload.source_id is 'file that describes it';

create table core.phase (
    phase varchar primary key,
    series_suffix varchar not null
);
comment on table core.phase is 'one row per phase';
comment on column core.phase.phase is 'prefill, decode or speculative';
comment on column core.phase.series_suffix is 'what the phase is called in the name of a series';
insert into core.phase values ('prefill', 'init'), ('decode', 'ar'), ('speculative', 'spec');

create table core.op_shape (
    shape_id bigint primary key,
    model_id varchar not null,
    convention varchar not null,
    phase varchar not null,
    batch_size bigint not null check (batch_size > 0),
    sequence_length bigint not null check (sequence_length > 0),
    query_length bigint not null check (query_length > 0),
    tensor_parallel bigint not null check (tensor_parallel > 0),
    op varchar not null,
    op_group varchar not null,
    kind varchar not null,
    m bigint not null check (m > 0),
    k bigint check (k > 0),
    n bigint not null check (n > 0),
    heads bigint check (heads > 0),
    kv_heads bigint check (kv_heads > 0),
    head_dim bigint check (head_dim > 0),
    repeat bigint not null check (repeat > 0)
);
comment on table core.op_shape is 'one row per op of a model at a setting: its dimensions';
comment on column core.op_shape.shape_id is 'stable hash of model, convention, phase, setting and op';
comment on column core.op_shape.model_id is 'the model, by the name of its config file';
comment on column core.op_shape.convention is 'which ops exist and how they are fused: paper (products only, unfused, not causal) or llm-viewer (the same with softmax, norms and residual adds)';
comment on column core.op_shape.phase is 'prefill, decode or speculative';
comment on column core.op_shape.batch_size is 'sequences in the batch, b';
comment on column core.op_shape.sequence_length is 'prompt length in prefill, context length otherwise, s';
comment on column core.op_shape.query_length is 'query tokens a sequence, q: s in prefill, 1 in decode, the candidates in speculative';
comment on column core.op_shape.tensor_parallel is 'devices that share the layer; the shape is one device''s share';
comment on column core.op_shape.op is 'the operator';
comment on column core.op_shape.op_group is 'group that it is drawn with';
comment on column core.op_shape.kind is 'formula of its cost: linear, qk, pv, or a kind of core.elementwise';
comment on column core.op_shape.m is 'rows of the product; of attention, those of one head; of an element-wise op, rows of its output';
comment on column core.op_shape.k is 'inner dimension of the product; null for an element-wise op';
comment on column core.op_shape.n is 'columns of the product or of the element-wise output';
comment on column core.op_shape.heads is 'query heads of an attention op';
comment on column core.op_shape.kv_heads is 'key and value heads of an attention op';
comment on column core.op_shape.head_dim is 'head size of an attention op';
comment on column core.op_shape.repeat is 'times that the op runs in one step of the model';

create table core.op_cost (
    shape_id bigint not null,
    precision_id varchar not null,
    flops double not null check (isfinite(flops) and flops >= 0),
    weight_bytes double not null check (isfinite(weight_bytes) and weight_bytes >= 0),
    activation_bytes double not null
        check (isfinite(activation_bytes) and activation_bytes >= 0),
    kv_bytes double not null check (isfinite(kv_bytes) and kv_bytes >= 0),
    bytes double not null check (isfinite(bytes) and bytes > 0),
    intensity_flops_per_byte double not null
        check (isfinite(intensity_flops_per_byte) and intensity_flops_per_byte >= 0),
    primary key (shape_id, precision_id)
);
comment on table core.op_cost is 'one row per op shape and precision: the work of one execution and the memory that it must move';
comment on column core.op_cost.shape_id is 'the shape';
comment on column core.op_cost.precision_id is 'the precision';
comment on column core.op_cost.flops is 'FLOP of one execution; 2 per multiply-add';
comment on column core.op_cost.weight_bytes is 'weights read';
comment on column core.op_cost.activation_bytes is 'activations read and written';
comment on column core.op_cost.kv_bytes is 'KV cache read';
comment on column core.op_cost.bytes is 'weights, activations and KV cache together';
comment on column core.op_cost.intensity_flops_per_byte is 'operational intensity: flops / bytes';
