-- the schemas, and the tables of core with what each column means
create schema core;
create schema mart;

create table core.schema_migration (
    version integer primary key,
    name varchar not null,
    applied_at timestamptz not null default current_timestamp,
    sha256 varchar not null check (length(sha256) = 64)
);
comment on table core.schema_migration is 'one row: the migration that made these tables';
comment on column core.schema_migration.version is 'number at the head of the file''s name';
comment on column core.schema_migration.name is 'file in sql/migrations';
comment on column core.schema_migration.applied_at is 'when it was applied';
comment on column core.schema_migration.sha256 is 'digest of its statements, without comments';

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
comment on table core.run is 'one row per run; a run that published nothing appears with the next publication';
comment on column core.run.run_id is 'start time and a random suffix';
comment on column core.run.run_number is 'number of the run in this home, whatever the clock says';
comment on column core.run.started_at is 'when the run began';
comment on column core.run.finished_at is 'when its rows were ready for readers, or when it failed';
comment on column core.run.status is 'running, succeeded, unchanged (same inputs as the published run) or failed';
comment on column core.run.code_version is 'version of the package and digest of the code and SQL that ran';
comment on column core.run.inputs_sha256 is 'digest over the sources and the code version; equal digests give equal rows';
comment on column core.run.flow_run_id is 'id of the flow run in Prefect; null without Prefect';
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
comment on table core.run_change is 'one row per run and table: how many rows the table has after the run, and how many the run touched';
comment on column core.run_change.run_id is 'the run';
comment on column core.run_change.table_name is 'table in core';
comment on column core.run_change.rows is 'rows in the table after the run';
comment on column core.run_change.inserted is 'rows that the run inserted';
comment on column core.run_change.updated is 'rows that the run updated';
comment on column core.run_change.deleted is 'rows that the run deleted';
comment on column core.run_change.inputs_sha256 is 'digest of what the table''s rows were made from';

create table core.run_left_out (
    run_id varchar not null,
    place integer not null check (place >= 1),
    file varchar not null,
    name varchar not null,
    reason varchar not null,
    primary key (run_id, place)
);
comment on table core.run_left_out is 'one row per run and chart that it left out of the site';
comment on column core.run_left_out.run_id is 'the run';
comment on column core.run_left_out.place is 'position in the run''s list, from 1';
comment on column core.run_left_out.file is 'the gallery file with the chart';
comment on column core.run_left_out.name is 'name of the chart, or its position in the file';
comment on column core.run_left_out.reason is 'why it could not be drawn';

create table core.source (
    source_id varchar primary key,
    kind varchar not null check (
        kind in (
            'hardware', 'architecture', 'model', 'workload', 'precision', 'elementwise', 'ops', 'measurement',
            'step', 'engine', 'engine_setting', 'calibration', 'gallery', 'trace_ops'
        )
    ),
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
comment on column core.source.path is 'path of the file, relative to the home of its catalog';
comment on column core.source.sha256 is 'digest of the file''s bytes';
comment on column core.source.size_bytes is 'size of the file';
comment on column core.source.origin is 'who published the figures, and where';
comment on column core.source.license is 'licence of the file, if it states one';
comment on column core.source.ingested_at is 'start of the run that first read these bytes';

create table core.hardware (
    hardware_id varchar primary key,
    name varchar not null,
    short_name varchar not null,
    vendor varchar not null,
    architecture varchar not null,
    memory_bytes double not null check (isfinite(memory_bytes) and memory_bytes > 0),
    tdp_w double check (isfinite(tdp_w) and tdp_w > 0),
    source_id varchar not null,
    l2_bytes double,
    multiprocessors bigint,
    released date,
    released_origin varchar check (length(trim(released_origin)) > 0),
    dollars_per_hour double check (isfinite(dollars_per_hour) and dollars_per_hour > 0),
    dollars_origin varchar check (length(trim(dollars_origin)) > 0),
    check ((released is null) = (released_origin is null)),
    check ((dollars_per_hour is null) = (dollars_origin is null))
);
comment on table core.hardware is 'one row per device';
comment on column core.hardware.hardware_id is 'the device, by the name of its file';
comment on column core.hardware.name is 'full name';
comment on column core.hardware.short_name is 'name on charts';
comment on column core.hardware.vendor is 'who makes it';
comment on column core.hardware.architecture is 'the vendor''s name for the generation';
comment on column core.hardware.memory_bytes is 'device memory (1 GB = 1e9 bytes)';
comment on column core.hardware.tdp_w is 'thermal design power in watts; null if not published';
comment on column core.hardware.source_id is 'file that describes it';
comment on column core.hardware.l2_bytes is 'size of the L2 cache; null if not published';
comment on column core.hardware.multiprocessors is 'units that a kernel''s tiles are distributed to; null if not published';
comment on column core.hardware.released is 'day of its launch or announcement; null if not known';
comment on column core.hardware.dollars_per_hour is 'what an hour of one device costs its user, in US dollars; null if its file does not say';
comment on column core.hardware.dollars_origin is 'who states the price: a price list with its day, or the user';
comment on column core.hardware.released_origin is 'document that states the day, and whether it is the launch or the announcement';

create table core.ceiling (
    hardware_id varchar not null,
    kind varchar not null check (kind in ('compute', 'bandwidth')),
    name varchar not null,
    basis varchar not null check (basis in ('datasheet', 'as_printed', 'measured', 'counter')),
    origin varchar not null check (length(trim(origin)) > 0),
    value_per_s double not null check (isfinite(value_per_s) and value_per_s > 0),
    is_default boolean not null,
    preference bigint not null check (preference > 0),
    note varchar,
    source_id varchar not null,
    pipe varchar not null check (pipe in ('', 'tensor', 'vector', 'scalar')),
    accumulator varchar not null,
    ceiling_name varchar not null,
    reduces_in_switch boolean check (name = 'interconnect' or reduces_in_switch is null),
    switch_devices bigint check (switch_devices > 1),
    primary key (hardware_id, kind, name, basis, origin, pipe, accumulator, ceiling_name)
);
comment on table core.ceiling is 'one row per limit of a device, basis, origin, pipe, accumulator and own name: FLOP/s of a dtype (dense), or bytes/s of a memory level or of the interconnect';
comment on column core.ceiling.hardware_id is 'the device, by the name of its file';
comment on column core.ceiling.kind is 'compute (FLOP/s) or bandwidth (bytes/s)';
comment on column core.ceiling.name is 'dtype of a compute ceiling; level of a bandwidth ceiling: l1, lds, l2, l3, mcdram, dram or another memory level, or interconnect (sent by one device, one way)';
comment on column core.ceiling.basis is 'where the value comes from: datasheet (nominal: published, or derived from published values, see origin), as_printed (a published chart), measured, or counter (a profiler''s counters: what a unit does in a cycle, times the clock while profiling)';
comment on column core.ceiling.origin is 'document that states the value';
comment on column core.ceiling.value_per_s is 'FLOP/s or bytes/s; 2 FLOP per multiply-add, always dense';
comment on column core.ceiling.is_default is 'whether points are compared with this value; one per device, kind and name';
comment on column core.ceiling.preference is 'rank among the origins of one basis: roofs of that basis use the first';
comment on column core.ceiling.note is 'remark on the value';
comment on column core.ceiling.source_id is 'file that states it';
comment on column core.ceiling.pipe is 'units that do the arithmetic: tensor (matrix units of any vendor), vector or scalar; empty if not stated';
comment on column core.ceiling.accumulator is 'dtype that products are added up in; empty if not stated';
comment on column core.ceiling.ceiling_name is 'name that a file gives to one of several ceilings, e.g. AVX2 or no FMA; empty if none';
comment on column core.ceiling.switch_devices is 'devices that the switch of an interconnect joins; null if not stated';
comment on column core.ceiling.reduces_in_switch is 'whether the switch of an interconnect adds, as NVLink SHARP does; null for other levels and if not stated';

create table core.model (
    model_id varchar primary key,
    short_name varchar not null,
    architecture varchar not null,
    hidden_size bigint not null check (hidden_size > 0),
    intermediate_size bigint check (intermediate_size > 0),
    num_layers bigint not null check (num_layers > 0),
    num_heads bigint check (num_heads > 0),
    num_kv_heads bigint check (num_kv_heads > 0),
    head_dim bigint check (head_dim > 0),
    value_head_dim bigint check (value_head_dim > 0),
    vocab_size bigint not null check (vocab_size > 0),
    num_experts bigint check (num_experts > 0),
    experts_per_token bigint check (experts_per_token > 0),
    expert_intermediate_size bigint check (expert_intermediate_size > 0),
    shared_intermediate_size bigint check (shared_intermediate_size > 0),
    num_moe_layers bigint not null check (num_moe_layers between 0 and num_layers),
    q_lora_rank bigint check (q_lora_rank > 0),
    kv_lora_rank bigint check (kv_lora_rank > 0),
    rope_head_dim bigint check (rope_head_dim between 0 and head_dim),
    sliding_window bigint check (sliding_window > 0),
    num_local_layers bigint not null check (num_local_layers between 0 and num_layers),
    num_recurrent_layers bigint not null check (num_recurrent_layers between 0 and num_layers),
    norm_kind varchar not null,
    norm_weights bigint not null check (norm_weights between 0 and 2),
    final_norm boolean not null,
    embedding_size bigint not null check (embedding_size > 0),
    embedding_norm boolean not null,
    learned_positions bigint not null check (learned_positions >= 0),
    lm_head_bias boolean not null,
    per_layer_embedding_size bigint not null check (per_layer_embedding_size >= 0),
    per_layer_vocab_size bigint not null check (per_layer_vocab_size >= 0),
    tied_embeddings boolean not null,
    max_positions bigint check (max_positions > 0),
    other_parameters bigint not null check (other_parameters >= 0),
    parameters bigint not null check (parameters > 0),
    active_parameters bigint not null check (active_parameters > 0),
    tower_parameters bigint not null check (tower_parameters >= 0),
    mtp_parameters bigint check (mtp_parameters >= 0),
    source_id varchar not null,
    published_precision varchar
);
comment on table core.model is 'one row per model';
comment on column core.model.model_id is 'the model, by the name of its config file';
comment on column core.model.short_name is 'name on charts';
comment on column core.model.architecture is 'class that the Hugging Face config names';
comment on column core.model.hidden_size is 'width of the residual stream, h';
comment on column core.model.intermediate_size is 'width of the first dense feed-forward layer, i; if every layer is MoE, the width of one expert; null without feed-forward layers';
comment on column core.model.num_layers is 'decoder layers';
comment on column core.model.num_heads is 'query heads, H, of the first layer with attention; null if no layer has any';
comment on column core.model.num_kv_heads is 'key and value heads, H_kv, of the first layer with attention';
comment on column core.model.head_dim is 'size of one query and key head, d, of the first layer with attention';
comment on column core.model.value_head_dim is 'size of one value head: d, except with latent attention';
comment on column core.model.vocab_size is 'tokens in the vocabulary';
comment on column core.model.num_experts is 'routed experts of an MoE model, E; null for a dense model';
comment on column core.model.experts_per_token is 'routed experts that a token is sent to, k; null for a dense model';
comment on column core.model.expert_intermediate_size is 'width of one routed expert; null for a dense model';
comment on column core.model.shared_intermediate_size is 'total width of the shared experts; null if there are none';
comment on column core.model.num_moe_layers is 'MoE layers; the others are dense';
comment on column core.model.q_lora_rank is 'latent rank of queries; null if they are projected directly';
comment on column core.model.kv_lora_rank is 'latent rank of keys and values, r; null without latent attention';
comment on column core.model.rope_head_dim is 'dimensions of a head that RoPE rotates; 0 if none are';
comment on column core.model.sliding_window is 'tokens that a layer with a window or with chunks sees at most; null without such layers';
comment on column core.model.num_local_layers is 'layers with a sliding window or with chunks';
comment on column core.model.num_recurrent_layers is 'layers with a recurrent mixer: linear attention, a state space or a short convolution';
comment on column core.model.norm_kind is 'norm, a kind of core.elementwise';
comment on column core.model.norm_weights is 'weights of a norm for each element: 1, 2 with a bias, or none';
comment on column core.model.final_norm is 'whether a norm follows the last layer';
comment on column core.model.embedding_size is 'width of the embedding: the hidden size, unless it is projected';
comment on column core.model.embedding_norm is 'whether a norm follows the embedding';
comment on column core.model.learned_positions is 'positions with a learned vector each';
comment on column core.model.lm_head_bias is 'whether the lm_head has a bias';
comment on column core.model.per_layer_embedding_size is 'width of the embedding that each layer has of its own; 0 if there is none';
comment on column core.model.per_layer_vocab_size is 'tokens with an embedding for each layer';
comment on column core.model.tied_embeddings is 'whether embedding and lm_head are one matrix';
comment on column core.model.max_positions is 'longest context that the config states, in tokens; null if it states none';
comment on column core.model.other_parameters is 'weights that the model has once and that belong to no op';
comment on column core.model.parameters is 'weights of the text model, counted from the config: without towers and without layers that predict further tokens';
comment on column core.model.active_parameters is 'weights that one token uses: of the routed experts, only the chosen ones';
comment on column core.model.tower_parameters is 'weights of vision and audio encoders and their projectors: held in memory, but not computed';
comment on column core.model.mtp_parameters is 'weights of the layers that predict further tokens, as published; null if the architecture does not say';
comment on column core.model.source_id is 'config file';
comment on column core.model.published_precision is 'precision that the weights are published in, as the config says; null if it does not';
create table core.layer_group (
    model_id varchar not null,
    layer_group bigint not null check (layer_group >= 0),
    num_layers bigint not null check (num_layers > 0),
    is_draft boolean not null,
    mixer varchar not null,
    feed_forward varchar not null,
    num_heads bigint check (num_heads > 0),
    num_kv_heads bigint check (num_kv_heads > 0),
    head_dim bigint check (head_dim > 0),
    value_head_dim bigint check (value_head_dim > 0),
    rope_head_dim bigint check (rope_head_dim between 0 and head_dim),
    is_rotary boolean,
    sliding_window bigint check (sliding_window > 0),
    attention_chunk bigint check (attention_chunk > 0),
    qkv_bias boolean,
    output_bias boolean,
    qk_norm varchar,
    qk_norm_weights bigint,
    attention_gate_size bigint,
    has_sinks boolean,
    shares_kv boolean,
    keys_are_values boolean,
    has_inner_norm boolean,
    q_lora_rank bigint check (q_lora_rank > 0),
    kv_lora_rank bigint check (kv_lora_rank > 0),
    index_heads bigint,
    index_head_dim bigint,
    index_top_k bigint,
    index_from_latent boolean,
    index_is_shared boolean,
    index_is_weighted boolean,
    out_groups bigint check (out_groups > 0),
    out_lora_rank bigint check (out_lora_rank > 0),
    compression_ratio bigint check (compression_ratio >= 0),
    compression_overlaps boolean,
    recurrence varchar,
    state_heads bigint,
    state_key_heads bigint,
    state_key_dim bigint,
    state_value_dim bigint,
    recurrent_in_size bigint,
    recurrent_in_bias boolean,
    recurrent_out_bias boolean,
    conv_channels bigint,
    conv_kernel bigint,
    conv_bias boolean,
    select_size bigint,
    select_rank bigint,
    select_bias boolean,
    gate_rank bigint,
    gate_size bigint,
    gate_blocks bigint,
    recurrent_norm_size bigint,
    recurrence_chunk bigint,
    last_tokens bigint,
    state_bits bigint,
    intermediate_size bigint check (intermediate_size > 0),
    is_gated boolean,
    activation_kind varchar,
    mlp_bias boolean,
    has_mlp_norm boolean,
    num_experts bigint check (num_experts > 0),
    experts_per_token bigint check (experts_per_token > 0),
    expert_intermediate_size bigint check (expert_intermediate_size > 0),
    expert_is_gated boolean,
    expert_activation_kind varchar,
    expert_bias boolean,
    router_bias boolean,
    router_correction boolean,
    zero_experts bigint,
    shared_intermediate_size bigint check (shared_intermediate_size > 0),
    shared_gate boolean,
    expert_latent_size bigint,
    per_layer_size bigint,
    low_rank bigint,
    mixer_norms bigint not null check (mixer_norms >= 0),
    feed_forward_norms bigint not null check (feed_forward_norms >= 0),
    other_parameters bigint not null check (other_parameters >= 0),
    primary key (model_id, layer_group)
);
comment on table core.layer_group is 'one row per model and kind of layer';
comment on column core.layer_group.model_id is 'the model, by the name of its config file';
comment on column core.layer_group.layer_group is 'number of the kind of layer, in the order in which they first occur';
comment on column core.layer_group.num_layers is 'layers of this kind';
comment on column core.layer_group.is_draft is 'whether these layers predict further tokens: multi-token prediction';
comment on column core.layer_group.mixer is 'what the architecture calls the mixer: attention, or what stands for it';
comment on column core.layer_group.feed_forward is 'what the architecture calls the feed-forward';
comment on column core.layer_group.num_heads is 'query heads, H; null without attention';
comment on column core.layer_group.num_kv_heads is 'key and value heads, H_kv';
comment on column core.layer_group.head_dim is 'size of one query and key head, d';
comment on column core.layer_group.value_head_dim is 'size of one value head';
comment on column core.layer_group.rope_head_dim is 'dimensions of a head that RoPE rotates; with latent attention, those that all heads share';
comment on column core.layer_group.is_rotary is 'whether RoPE rotates any';
comment on column core.layer_group.sliding_window is 'tokens that a query attends to at most, w; null: all';
comment on column core.layer_group.attention_chunk is 'tokens of a chunk, beyond which no query sees; null: no chunks';
comment on column core.layer_group.qkv_bias is 'whether the Q, K and V projections have biases';
comment on column core.layer_group.output_bias is 'whether the output projection has a bias';
comment on column core.layer_group.qk_norm is 'norm of queries and keys: none, head by head, or over the width of all heads';
comment on column core.layer_group.qk_norm_weights is 'weights of that norm for each element';
comment on column core.layer_group.attention_gate_size is 'columns of the gate of the output, projected from the hidden state; 0: none';
comment on column core.layer_group.has_sinks is 'whether each head has an attention sink';
comment on column core.layer_group.shares_kv is 'whether it reads the keys and values of another layer';
comment on column core.layer_group.keys_are_values is 'whether values are projected by the keys matrix';
comment on column core.layer_group.has_inner_norm is 'whether a norm stands before the output projection';
comment on column core.layer_group.q_lora_rank is 'latent rank of queries; null if they are projected directly';
comment on column core.layer_group.kv_lora_rank is 'latent rank of keys and values, r; null without latent attention';
comment on column core.layer_group.index_heads is 'heads of the indexer of sparse attention; null without one';
comment on column core.layer_group.index_head_dim is 'size of one head of the indexer';
comment on column core.layer_group.index_top_k is 'tokens that the indexer leaves to attention';
comment on column core.layer_group.index_from_latent is 'whether the indexers queries are projected from the latent of queries';
comment on column core.layer_group.index_is_shared is 'whether attention takes what the indexer of an earlier layer chose';
comment on column core.layer_group.index_is_weighted is 'whether the hidden state gives each head of the indexer a weight';
comment on column core.layer_group.out_groups is 'groups of heads that the output is projected from one by one; null: all heads at once';
comment on column core.layer_group.out_lora_rank is 'columns that each group of heads is projected to';
comment on column core.layer_group.compression_ratio is 'tokens behind the window for which one compressed key is kept; 0: none, null: keys are not compressed';
comment on column core.layer_group.compression_overlaps is 'whether a compressed key is made of twice as many tokens, half of them those of the key before';
comment on column core.layer_group.recurrence is 'rule by which the state is updated; null without a recurrent mixer';
comment on column core.layer_group.state_heads is 'heads of the state';
comment on column core.layer_group.state_key_heads is 'heads of keys and queries, or groups of B and C';
comment on column core.layer_group.state_key_dim is 'size of a key: rows of the state of one head';
comment on column core.layer_group.state_value_dim is 'size of a value: columns of the state of one head';
comment on column core.layer_group.recurrent_in_size is 'columns of the projections of the hidden state that are of full rank';
comment on column core.layer_group.recurrent_in_bias is 'whether they have biases';
comment on column core.layer_group.recurrent_out_bias is 'whether the output projection has a bias';
comment on column core.layer_group.conv_channels is 'channels of the causal convolution; 0: none';
comment on column core.layer_group.conv_kernel is 'tokens that the convolution sees';
comment on column core.layer_group.conv_bias is 'whether the convolution has a bias';
comment on column core.layer_group.select_size is 'columns of Mamba-1s selection: time step, B and C';
comment on column core.layer_group.select_rank is 'rank of Mamba-1s time step';
comment on column core.layer_group.select_bias is 'whether the time steps projection has a bias';
comment on column core.layer_group.gate_rank is 'sum of the ranks of low-rank gates; 0: none';
comment on column core.layer_group.gate_size is 'columns that each low-rank gate makes';
comment on column core.layer_group.gate_blocks is 'blocks of each of two block-diagonal gates; 0: none';
comment on column core.layer_group.recurrent_norm_size is 'weights of the norm before the output projection; 0: none';
comment on column core.layer_group.recurrence_chunk is 'tokens of a chunk in which a prompt is computed; null: token by token';
comment on column core.layer_group.last_tokens is 'hidden states of the last token that are kept beside the state';
comment on column core.layer_group.state_bits is 'bits of one element of the state';
comment on column core.layer_group.intermediate_size is 'width of the dense feed-forward, i; null without one';
comment on column core.layer_group.is_gated is 'whether it has a gate projection as well as an up projection';
comment on column core.layer_group.activation_kind is 'its activation, a kind of core.elementwise';
comment on column core.layer_group.mlp_bias is 'whether its linears have biases';
comment on column core.layer_group.has_mlp_norm is 'whether a norm stands before its down projection';
comment on column core.layer_group.num_experts is 'routed experts, E; null without a mixture';
comment on column core.layer_group.experts_per_token is 'experts that a token is sent to, k';
comment on column core.layer_group.expert_intermediate_size is 'width of one routed expert';
comment on column core.layer_group.expert_is_gated is 'whether an expert has a gate projection as well as an up projection';
comment on column core.layer_group.expert_activation_kind is 'activation of experts, a kind of core.elementwise';
comment on column core.layer_group.expert_bias is 'whether experts have biases';
comment on column core.layer_group.router_bias is 'whether the router has a bias';
comment on column core.layer_group.router_correction is 'whether the router has a number for each expert that corrects the choice';
comment on column core.layer_group.zero_experts is 'experts that pass a token through unchanged';
comment on column core.layer_group.shared_intermediate_size is 'total width of the shared experts; null if there are none';
comment on column core.layer_group.shared_gate is 'whether the shared experts have a gate';
comment on column core.layer_group.expert_latent_size is 'width that tokens are projected to before the experts; 0: the hidden size';
comment on column core.layer_group.per_layer_size is 'width of the layers own embedding; null without one';
comment on column core.layer_group.low_rank is 'rank of a product beside the layer; null without one';
comment on column core.layer_group.mixer_norms is 'norms over the hidden size that belong to the mixer';
comment on column core.layer_group.feed_forward_norms is 'norms over the hidden size that belong to the feed-forward';
comment on column core.layer_group.other_parameters is 'weights of one layer that belong to no op';
create table core.model_shard (
    model_id varchar not null,
    tensor_parallel bigint not null check (tensor_parallel > 0),
    weights bigint not null check (weights > 0),
    kv_elements_per_token bigint not null check (kv_elements_per_token >= 0),
    local_kv_elements_per_token bigint not null check (local_kv_elements_per_token >= 0),
    indexer_elements_per_token bigint not null check (indexer_elements_per_token >= 0),
    compressed_elements_per_token double not null
        check (isfinite(compressed_elements_per_token) and compressed_elements_per_token >= 0),
    compressed_indexer_elements_per_token double not null
        check (
            isfinite(compressed_indexer_elements_per_token)
            and compressed_indexer_elements_per_token >= 0
        ),
    state_bytes double not null check (isfinite(state_bytes) and state_bytes >= 0),
    recent_elements bigint not null check (recent_elements >= 0),
    state_elements bigint not null check (state_elements >= 0),
    expert_parallel bigint not null check (expert_parallel > 0),
    pipeline_parallel bigint not null check (pipeline_parallel > 0),
    data_parallel bigint not null check (data_parallel > 0),
    primary key (model_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel)
);
comment on table core.model_shard is 'one row per model and sharing: what one device must hold';
comment on column core.model_shard.model_id is 'the model, by the name of its config file';
comment on column core.model_shard.tensor_parallel is 'devices that share the model';
comment on column core.model_shard.weights is 'weights that one device holds, including all experts';
comment on column core.model_shard.kv_elements_per_token is 'KV cache elements per token in layers that attend to the whole context';
comment on column core.model_shard.local_kv_elements_per_token is 'KV cache elements per token in layers with a sliding window or with chunks';
comment on column core.model_shard.indexer_elements_per_token is 'elements of the keys that indexers of sparse attention keep per token, beside the KV cache';
comment on column core.model_shard.compressed_elements_per_token is 'elements of compressed keys per token, beside those of the window: a fraction of a key';
comment on column core.model_shard.compressed_indexer_elements_per_token is 'elements of the compressed keys that indexers keep per token';
comment on column core.model_shard.state_bytes is 'bytes of a sequence''s recurrent state, which does not grow with the context';
comment on column core.model_shard.recent_elements is 'elements of the last tokens that recurrent layers keep of a sequence, in the precision of activations';
comment on column core.model_shard.state_elements is 'elements of a sequence''s recurrent state';
comment on column core.model_shard.expert_parallel is 'devices that whole experts are spread over; 1: experts are shared as the other weights are';
comment on column core.model_shard.pipeline_parallel is 'stages that the layers are spread over';
comment on column core.model_shard.data_parallel is 'replicas of attention, each of which computes its part of the batch';

create table core.runnable_precision (
    hardware_id varchar not null,
    precision_id varchar not null,
    primary key (hardware_id, precision_id)
);
comment on table core.runnable_precision is 'one row per hardware and precision that it can run: the device has a peak for every dtype that parts of a model compute in';
comment on column core.runnable_precision.hardware_id is 'the device, by the name of its file';
comment on column core.runnable_precision.precision_id is 'the precision';

create table core.weight_memory (
    model_id varchar not null,
    precision_id varchar not null,
    tensor_parallel bigint not null check (tensor_parallel > 0),
    weight_bytes double not null check (isfinite(weight_bytes) and weight_bytes > 0),
    tower_bytes double not null check (isfinite(tower_bytes) and tower_bytes >= 0),
    expert_parallel bigint not null check (expert_parallel > 0),
    pipeline_parallel bigint not null check (pipeline_parallel > 0),
    data_parallel bigint not null check (data_parallel > 0),
    primary key (
        model_id, precision_id, tensor_parallel, expert_parallel, pipeline_parallel, data_parallel
    )
);
comment on table core.weight_memory is 'one row per model, precision and sharing: bytes of the weights that one device holds, each part of the model in its own bits';
comment on column core.weight_memory.model_id is 'the model, by the name of its config file';
comment on column core.weight_memory.precision_id is 'the precision';
comment on column core.weight_memory.tensor_parallel is 'devices that share the model';
comment on column core.weight_memory.weight_bytes is 'weights with their scales, including all experts, without towers';
comment on column core.weight_memory.tower_bytes is 'weights of vision and audio encoders, which each device holds in full';
comment on column core.weight_memory.expert_parallel is 'devices that whole experts are spread over; 1: experts are shared as the other weights are';
comment on column core.weight_memory.pipeline_parallel is 'stages that the layers are spread over';
comment on column core.weight_memory.data_parallel is 'replicas of attention, each of which computes its part of the batch';

create table core.op_set (
    op_set_id varchar primary key,
    short_name varchar not null,
    source_id varchar not null
);
comment on table core.op_set is 'one row per file of custom ops';
comment on column core.op_set.op_set_id is 'name of the file; the model_id of its ops';
comment on column core.op_set.short_name is 'name on charts';
comment on column core.op_set.source_id is 'file with the ops';

create table core.precision (
    precision_id varchar primary key,
    weight_bits double not null check (weight_bits > 0 and weight_bits <= 64),
    activation_bits double not null check (activation_bits > 0 and activation_bits <= 64),
    kv_bits double not null check (kv_bits > 0 and kv_bits <= 64),
    compute_dtype varchar not null,
    origin varchar not null,
    source_id varchar not null,
    vector_bits double check (vector_bits > 0 and vector_bits <= 64),
    row_scale_bits double not null check (row_scale_bits >= 0 and row_scale_bits <= 64),
    state_bits double check (state_bits > 0 and state_bits <= 64),
    residual_bits double not null check (residual_bits > 0 and residual_bits <= 64)
);
comment on table core.precision is 'one row per precision: bits of each operand and the dtype of the arithmetic, for the parts of a model that core.precision_part does not set apart';
comment on column core.precision.precision_id is 'the precision';
comment on column core.precision.weight_bits is 'bits of a weight in a matrix, with its share of the scales of blocks and groups';
comment on column core.precision.activation_bits is 'bits of an activation';
comment on column core.precision.kv_bits is 'bits of an element of the KV cache';
comment on column core.precision.compute_dtype is 'dtype whose peak limits the arithmetic';
comment on column core.precision.origin is 'document that defines the format';
comment on column core.precision.source_id is 'file that describes it';
comment on column core.precision.vector_bits is 'bits of a weight in no matrix: biases, norms, sinks; null: as weights';
comment on column core.precision.row_scale_bits is 'bits of a scale that each output row of a matrix has; 0 if none';
comment on column core.precision.state_bits is 'bits of an element of recurrent state; null: as the layer states';
comment on column core.precision.residual_bits is 'bits of an activation in the residual stream, in norms and between devices, in the conventions engine and draft';

create table core.precision_part (
    precision_id varchar not null,
    part varchar not null,
    weight_bits double check (weight_bits > 0 and weight_bits <= 64),
    activation_bits double check (activation_bits > 0 and activation_bits <= 64),
    compute_dtype varchar,
    row_scale_bits double check (row_scale_bits >= 0 and row_scale_bits <= 64),
    primary key (precision_id, part)
);
comment on table core.precision_part is 'one row per precision and part of a model that it sets apart; null: as in core.precision';
comment on column core.precision_part.precision_id is 'the precision';
comment on column core.precision_part.part is 'part of the model, as in core.op_shape, or tower: vision and audio encoders';
comment on column core.precision_part.weight_bits is 'bits of a weight in a matrix, with its share of the scales of blocks and groups';
comment on column core.precision_part.activation_bits is 'bits of an activation';
comment on column core.precision_part.compute_dtype is 'dtype whose peak limits the arithmetic';
comment on column core.precision_part.row_scale_bits is 'bits of a scale that each output row of a matrix has';

create table core.elementwise (
    kind varchar primary key,
    flops_per_element double not null
        check (isfinite(flops_per_element) and flops_per_element >= 0),
    reads_per_element double not null
        check (isfinite(reads_per_element) and reads_per_element >= 0),
    writes_per_element double not null
        check (isfinite(writes_per_element) and writes_per_element >= 0),
    weight_reads_per_element double not null
        check (isfinite(weight_reads_per_element) and weight_reads_per_element >= 0),
    origin varchar not null,
    note varchar,
    source_id varchar not null
);
comment on table core.elementwise is 'one row per kind of op that is not a GEMM (matrix product): what one element of its output costs';
comment on column core.elementwise.kind is 'kind of op, as in core.op_shape';
comment on column core.elementwise.flops_per_element is 'FLOP per element';
comment on column core.elementwise.reads_per_element is 'activations read per element';
comment on column core.elementwise.writes_per_element is 'activations written per element';
comment on column core.elementwise.weight_reads_per_element is 'weights read per element';
comment on column core.elementwise.origin is 'document that counts this way, or how the count is derived';
comment on column core.elementwise.note is 'remark on the count';
comment on column core.elementwise.source_id is 'file that states it';

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
    source_id varchar not null,
    query_lengths bigint[] not null,
    trees bigint[][] not null,
    expert_parallel bigint[] not null,
    pipeline_parallel bigint[] not null,
    data_parallel bigint[] not null,
    micro_batches bigint not null check (micro_batches > 0),
    expert_load double not null check (isfinite(expert_load) and expert_load >= 1)
);
comment on table core.workload is 'one row per workload: the settings that models are computed at';
comment on column core.workload.workload_id is 'the workload, by the name of its file';
comment on column core.workload.name is 'full name';
comment on column core.workload.phases is 'phases that are computed';
comment on column core.workload.batch_sizes is 'sequences in a batch';
comment on column core.workload.sequence_lengths is 'prompt length in prefill, or where its chunk ends; context length otherwise';
comment on column core.workload.candidates is 'candidate tokens that a speculative step verifies at once, each after the one before';
comment on column core.workload.query_lengths is 'tokens of a chunk of a prompt, in prefill and mixed; empty: the whole prompt';
comment on column core.workload.trees is 'trees of candidates: how many stand at each depth; candidates are chains';
comment on column core.workload.conventions is 'which ops exist and how they are fused';
comment on column core.workload.precisions is 'precisions that are computed';
comment on column core.workload.tensor_parallel is 'devices that share one layer';
comment on column core.workload.models is 'models that it is computed for; null for all models';
comment on column core.workload.source_id is 'file that describes it';
comment on column core.workload.expert_parallel is 'devices that whole experts are spread over; 1: experts are shared as the other weights are';
comment on column core.workload.pipeline_parallel is 'stages that the layers are spread over';
comment on column core.workload.data_parallel is 'replicas of attention, each of which computes its part of the batch';
comment on column core.workload.micro_batches is 'parts that a batch passes through the stages of a pipeline in';
comment on column core.workload.expert_load is 'rows of the experts of the busiest device beside the mean; 1: uniform routing';

create table core.phase (
    phase varchar primary key,
    series_suffix varchar not null
);
comment on table core.phase is 'one row per phase';
comment on column core.phase.phase is 'prefill, decode, speculative or mixed';
comment on column core.phase.series_suffix is 'what the phase is called in the name of a series';
insert into core.phase values ('prefill', 'init'), ('decode', 'ar'), ('speculative', 'spec'), ('mixed', 'mix');

create table core.op_shape (
    shape_id bigint primary key,
    model_id varchar not null,
    convention varchar not null,
    phase varchar,
    batch_size bigint check (batch_size > 0),
    sequence_length bigint check (sequence_length > 0),
    query_length bigint check (query_length > 0),
    tensor_parallel bigint not null check (tensor_parallel > 0),
    op varchar not null,
    op_group varchar not null,
    kind varchar not null,
    m bigint check (m > 0),
    k bigint check (k > 0),
    n bigint check (n > 0),
    heads bigint check (heads > 0),
    kv_heads bigint check (kv_heads > 0),
    head_dim bigint check (head_dim > 0),
    value_dim bigint check (value_dim > 0),
    kv_dim bigint check (kv_dim > 0),
    attended_tokens double check (isfinite(attended_tokens) and attended_tokens >= 0),
    cached_tokens bigint check (cached_tokens >= 0),
    matrices double not null check (isfinite(matrices) and matrices > 0),
    experts bigint check (experts > 0),
    has_bias boolean not null,
    level varchar not null,
    repeat bigint not null check (repeat > 0),
    pipe varchar not null check (pipe in ('', 'tensor', 'vector', 'scalar')),
    state_elements double check (isfinite(state_elements) and state_elements >= 0),
    state_bits double check (state_bits > 0),
    chunk_size bigint check (chunk_size > 0),
    part varchar,
    sequences bigint check (sequences > 0),
    expert_parallel bigint not null check (expert_parallel > 0),
    pipeline_parallel bigint not null check (pipeline_parallel > 0),
    data_parallel bigint not null check (data_parallel > 0),
    idle_repeat bigint not null,
    row_share double check (isfinite(row_share) and row_share > 0),
    is_measured boolean not null
);
comment on table core.op_shape is 'one row per op of a model at a setting, or custom op: its dimensions';
comment on column core.op_shape.shape_id is 'stable hash of model, convention, phase, setting and op';
comment on column core.op_shape.model_id is 'the model, by the name of its config file; for custom ops, the name of their file';
comment on column core.op_shape.convention is 'which ops exist and how they are fused: paper (GEMMs only, unfused, not causal), llm-viewer (the same with softmax, norms and residual adds), engine (fused GEMMs, flash attention, causal, with everything else that a serving engine runs), draft (one pass of the layers that predict further tokens), or custom (ops that users describe)';
comment on column core.op_shape.phase is 'prefill, decode, speculative or mixed; null for a kernel that belongs to no model';
comment on column core.op_shape.batch_size is 'sequences in the batch, b; in mixed, those that decode beside the chunk';
comment on column core.op_shape.sequence_length is 'prompt length in prefill, or where its chunk ends; context length otherwise, s';
comment on column core.op_shape.query_length is 'query tokens per sequence, q: s in prefill or those of a chunk, 1 in decode, the candidates in speculative; in mixed, those of the chunk';
comment on column core.op_shape.tensor_parallel is 'devices that share the layer; the shape is one device''s share';
comment on column core.op_shape.op is 'the operator';
comment on column core.op_shape.state_elements is 'elements of a sequence''s recurrent state that the op reads and writes';
comment on column core.op_shape.state_bits is 'bits of one of them; null: as activations';
comment on column core.op_shape.chunk_size is 'tokens of a chunk in which a prompt is computed; null: token by token';
comment on column core.op_shape.op_group is 'group that it is drawn with';
comment on column core.op_shape.kind is 'formula of its cost: linear, qk, pv, attention, index_scores, convolution, the rule of a recurrence, all_reduce, all_gather, all_to_all, send, given, or a kind of core.elementwise';
comment on column core.op_shape.m is 'rows of the GEMM, over all its matrices; for attention, rows of one head; for an element-wise op, rows of its output';
comment on column core.op_shape.k is 'inner dimension of the GEMM; null for an element-wise op';
comment on column core.op_shape.n is 'columns of the GEMM or of the element-wise output';
comment on column core.op_shape.heads is 'query heads of an attention op';
comment on column core.op_shape.kv_heads is 'key and value heads of an attention op';
comment on column core.op_shape.head_dim is 'head size of an attention op: queries and keys';
comment on column core.op_shape.value_dim is 'head size of an attention op: values';
comment on column core.op_shape.kv_dim is 'KV cache elements that an attention op reads per token and key head';
comment on column core.op_shape.attended_tokens is 'tokens that a query token attends to, on average';
comment on column core.op_shape.cached_tokens is 'tokens per sequence whose keys or values an attention op reads';
comment on column core.op_shape.matrices is 'weight matrices that a GEMM reads: 1; for MoE, the expected number of distinct experts under uniform routing; for a GEMM per head, the heads; for an all-to-all, the devices that a row is sent to';
comment on column core.op_shape.experts is 'routed experts of the device that the matrices are chosen from; null for other ops';
comment on column core.op_shape.row_share is 'rows of the op for each row of a replica, before they are rounded: those that are routed to experts of the device, with the load factor, or its part of rows that devices share; null: that row';
comment on column core.op_shape.has_bias is 'whether a bias is added to the GEMM';
comment on column core.op_shape.level is 'what the bytes move through: dram, another memory level, or interconnect';
comment on column core.op_shape.repeat is 'how often the op runs on a device in one step of the model: in each layer of its stage, for each micro-batch';
comment on column core.op_shape.sequences is 'sequences whose tokens attend, or whose state the op keeps: the batch, or its part in a replica and micro-batch, or the one chunk of a mixed step; null for other ops';
comment on column core.op_shape.part is 'part of the model, which a precision can set apart: attention (projections), scores (products of queries with keys and values), recurrence, mlp, experts, shared_experts, router, lm_head, embedding, norm, elementwise or exchange; null for custom ops';
comment on column core.op_shape.pipe is 'units that do the arithmetic: tensor (matrix units of any vendor), vector or scalar; empty if not stated';
comment on column core.op_shape.expert_parallel is 'devices that whole experts are spread over; 1: experts are shared as the other weights are';
comment on column core.op_shape.pipeline_parallel is 'stages that the layers are spread over';
comment on column core.op_shape.data_parallel is 'replicas of attention, each of which computes its part of the batch';
comment on column core.op_shape.is_measured is 'whether a whole step was measured at the setting';
comment on column core.op_shape.idle_repeat is 'how often other stages of a pipeline run the op while this device waits; negative if it runs while the device would wait; 0 without a pipeline';

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
    state_bytes double not null check (isfinite(state_bytes) and state_bytes >= 0),
    compute_dtype varchar not null
);
comment on table core.op_cost is 'one row per op shape and precision: the work of one execution and the bytes that it must move';
comment on column core.op_cost.shape_id is 'the shape';
comment on column core.op_cost.precision_id is 'the precision';
comment on column core.op_cost.flops is 'FLOP of one execution; 2 per multiply-add';
comment on column core.op_cost.weight_bytes is 'weights read';
comment on column core.op_cost.activation_bytes is 'activations read and written';
comment on column core.op_cost.kv_bytes is 'KV cache read';
comment on column core.op_cost.state_bytes is 'recurrent state read and written';
comment on column core.op_cost.compute_dtype is 'dtype that the arithmetic runs in, whose peak limits it';
comment on column core.op_cost.bytes is 'weights, activations, KV cache and recurrent state together';
comment on column core.op_cost.intensity_flops_per_byte is 'operational intensity: flops / bytes';

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
    source_id varchar not null,
    level varchar not null default 'dram',
    pipe varchar not null check (pipe in ('', 'tensor', 'vector', 'scalar')),
    accumulator varchar not null,
    is_ceiling boolean not null,
    launch varchar not null check (launch in ('eager', 'graph')),
    shape_mismatch varchar,
    rank bigint check (rank >= 0),
    covered_share double check (covered_share between 0 and 1),
    coverage varchar
);
comment on table core.measurement is 'one row per measured kernel: its shape and its time';
comment on column core.measurement.measurement_id is 'the measurement, by its file and row';
comment on column core.measurement.hardware_id is 'the device, by the name of its file';
comment on column core.measurement.device_name is 'name that the device reports';
comment on column core.measurement.model_id is 'the model, by the name of its config file; for custom ops, the name of their file';
comment on column core.measurement.op is 'the operator';
comment on column core.measurement.op_group is 'group that it is drawn with';
comment on column core.measurement.phase is 'prefill, decode, speculative or mixed; null for a kernel that belongs to no model';
comment on column core.measurement.kind is 'formula of its cost, as in core.op_shape; or copy or triad, which measure the bandwidth';
comment on column core.measurement.m is 'rows of the GEMM, over all its matrices; for attention, rows of one head; for an element-wise op, rows of its output';
comment on column core.measurement.k is 'inner dimension of the GEMM; null for an element-wise op';
comment on column core.measurement.n is 'columns of the GEMM or of the element-wise output';
comment on column core.measurement.batch_size is 'sequences in the batch, b; in mixed, those that decode beside the chunk';
comment on column core.measurement.sequence_length is 'prompt length in prefill, or where its chunk ends; context length otherwise, s';
comment on column core.measurement.query_length is 'query tokens per sequence, q: s in prefill or those of a chunk, 1 in decode, the candidates in speculative; in mixed, those of the chunk';
comment on column core.measurement.heads is 'query heads of an attention op';
comment on column core.measurement.kv_heads is 'key and value heads of an attention op';
comment on column core.measurement.head_dim is 'head size of an attention op: queries and keys';
comment on column core.measurement.matrices is 'weight matrices that a GEMM reads: 1; for MoE, the expected number of distinct experts under uniform routing; for a GEMM per head, the heads; for an all-to-all, the devices that a row is sent to';
comment on column core.measurement.tensor_parallel is 'devices that share the layer; the shape is one device''s share';
comment on column core.measurement.dtype is 'dtype of the arithmetic';
comment on column core.measurement.flops is 'FLOP of one execution; 2 per multiply-add';
comment on column core.measurement.bytes is 'weights, activations, KV cache and recurrent state together';
comment on column core.measurement.latency_s is 'time of one execution: the median of its repeats, or of launches that a profile groups the mean; method says which';
comment on column core.measurement.latency_min_s is 'least time of one execution';
comment on column core.measurement.latency_std_s is 'standard deviation of the times';
comment on column core.measurement.repeats is 'executions that were timed';
comment on column core.measurement.method is 'clock and conditions: cuda-event, graph, wall clock, cold or warm caches';
comment on column core.measurement.software is 'driver and library versions';
comment on column core.measurement.measured_at is 'when it was measured';
comment on column core.measurement.source_id is 'file that states it';
comment on column core.measurement.level is 'what the bytes move through: dram, another memory level, or interconnect';
comment on column core.measurement.pipe is 'units that do the arithmetic: tensor (matrix units of any vendor), vector or scalar; empty if not stated';
comment on column core.measurement.accumulator is 'dtype that products were added up in; empty if not stated';
comment on column core.measurement.is_ceiling is 'whether it was measured to find a ceiling: the fastest of these are the measured ceilings of the device';
comment on column core.measurement.launch is 'how the kernel was started: eager, by the program each time, or graph, replayed from a recorded graph';
comment on column core.measurement.shape_mismatch is 'how given FLOP, bytes or FLOP/s of a product disagree by more than 1 % with what m, k, n and dtype give, or with the time; null if they do not';
comment on column core.measurement.rank is 'rank of the process that ran it, if the profile tells several apart or names its own';
comment on column core.measurement.covered_share is 'of the profile that it comes from: share of the time of everything that ran on the device which the rows of its file cover; null if not stated';
comment on column core.measurement.coverage is 'the same in words: kernels that are covered, what took the rest of the time, and what of the file could not be read';

create table core.step_measurement (
    step_measurement_id varchar primary key,
    hardware_id varchar not null,
    device_name varchar,
    model_id varchar not null,
    precision_id varchar not null,
    phase varchar not null,
    batch_size bigint not null check (batch_size > 0),
    sequence_length bigint not null check (sequence_length > 0),
    query_length bigint not null check (query_length > 0),
    tensor_parallel bigint not null check (tensor_parallel > 0),
    expert_parallel bigint not null check (expert_parallel > 0),
    pipeline_parallel bigint not null check (pipeline_parallel > 0),
    data_parallel bigint not null check (data_parallel > 0),
    launch varchar not null check (launch in ('eager', 'graph')),
    fusion varchar not null check (fusion in ('engine', 'none')),
    latency_s double not null check (isfinite(latency_s) and latency_s > 0),
    latency_min_s double check (isfinite(latency_min_s) and latency_min_s > 0),
    latency_std_s double check (isfinite(latency_std_s) and latency_std_s >= 0),
    layers_timed bigint check (layers_timed > 0),
    repeats bigint check (repeats > 0),
    method varchar not null,
    software varchar,
    measured_at timestamptz,
    source_id varchar not null
);
comment on table core.step_measurement is 'one row per measured step of a whole model: its setting and its time';
comment on column core.step_measurement.step_measurement_id is 'the measurement, by its file and row';
comment on column core.step_measurement.hardware_id is 'the device, by the name of its file';
comment on column core.step_measurement.device_name is 'name that the device reports';
comment on column core.step_measurement.model_id is 'the model, by the name of its config file';
comment on column core.step_measurement.precision_id is 'the precision that it ran in';
comment on column core.step_measurement.phase is 'prefill, decode, speculative or mixed';
comment on column core.step_measurement.batch_size is 'sequences in the batch, b';
comment on column core.step_measurement.sequence_length is 'prompt length in prefill, or where its chunk ends; context length otherwise, s';
comment on column core.step_measurement.query_length is 'query tokens per sequence, q: s in prefill or those of a chunk, 1 in decode, the candidates in speculative; in mixed, those of the chunk';
comment on column core.step_measurement.tensor_parallel is 'devices that share a layer';
comment on column core.step_measurement.expert_parallel is 'devices that whole experts are spread over; 1: experts are shared as the other weights are';
comment on column core.step_measurement.pipeline_parallel is 'stages that the layers are spread over';
comment on column core.step_measurement.data_parallel is 'replicas of attention, each of which computes its part of the batch';
comment on column core.step_measurement.launch is 'how its kernels were started: eager, by the program each time, or graph, replayed from a recorded graph';
comment on column core.step_measurement.fusion is 'engine: add and norm, activation and gate, and RoPE are one kernel each; none: each element-wise op of plain PyTorch is a kernel of its own';
comment on column core.step_measurement.latency_s is 'median time of one step of the whole model, with embedding and lm_head, without sampling; on several devices, of the slowest';
comment on column core.step_measurement.latency_min_s is 'least time of one step';
comment on column core.step_measurement.latency_std_s is 'standard deviation of the times';
comment on column core.step_measurement.layers_timed is 'most layers that were timed; if the model has more, the time is extrapolated; null if not stated';
comment on column core.step_measurement.repeats is 'executions that were timed';
comment on column core.step_measurement.method is 'clock and conditions';
comment on column core.step_measurement.software is 'driver and library versions';
comment on column core.step_measurement.measured_at is 'when it was measured';
comment on column core.step_measurement.source_id is 'file that states it';

create table core.serving_measurement (
    serving_id varchar primary key,
    engine varchar not null,
    engine_version varchar,
    hardware_id varchar not null,
    model varchar not null,
    model_id varchar,
    precision varchar,
    precision_id varchar,
    mode varchar not null check (mode in ('steady', 'batch', 'disaggregated')),
    speculative varchar,
    tensor_parallel bigint not null check (tensor_parallel > 0),
    expert_parallel bigint check (expert_parallel > 0),
    pipeline_parallel bigint not null check (pipeline_parallel > 0),
    data_parallel bigint not null check (data_parallel > 0),
    concurrency bigint not null check (concurrency > 0),
    prompt_tokens bigint not null check (prompt_tokens > 0),
    output_tokens bigint not null check (output_tokens > 0),
    has_mean_lengths boolean not null,
    prefill_tensor_parallel bigint check (prefill_tensor_parallel > 0),
    prefill_expert_parallel bigint check (prefill_expert_parallel > 0),
    prefill_pipeline_parallel bigint check (prefill_pipeline_parallel > 0),
    prefill_data_parallel bigint check (prefill_data_parallel > 0),
    prefill_workers bigint check (prefill_workers > 0),
    decode_workers bigint check (decode_workers > 0),
    ttft_s double check (isfinite(ttft_s) and ttft_s > 0),
    tpot_s double check (isfinite(tpot_s) and tpot_s > 0),
    request_s double check (isfinite(request_s) and request_s > 0),
    method varchar,
    measured_at timestamptz,
    source_id varchar not null,
    check (coalesce(ttft_s, tpot_s, request_s) is not null)
);
comment on table core.serving_measurement is 'one row per run of a serving engine: how long requests took, by what the engine''s benchmark says';
comment on column core.serving_measurement.serving_id is 'file and number of the row in it';
comment on column core.serving_measurement.engine is 'the engine, e.g. vllm, sglang, trtllm or llama.cpp';
comment on column core.serving_measurement.engine_version is 'its version, as the file says it';
comment on column core.serving_measurement.hardware_id is 'the device, by the name of its file';
comment on column core.serving_measurement.model is 'name of the model in the file';
comment on column core.serving_measurement.model_id is 'the model, by the name of its config file; null if the catalog has none of that name';
comment on column core.serving_measurement.precision is 'word of the file for the precision of the weights; null if it says none: then the published one';
comment on column core.serving_measurement.precision_id is 'the precision, by its id in the catalog; null if none is known to be meant';
comment on column core.serving_measurement.mode is 'steady: requests follow each other, so many in flight; batch: so many at once, of which none follows; disaggregated: steady, with prefill and decode on devices of their own';
comment on column core.serving_measurement.speculative is 'method of speculative decoding, whose steps may yield several tokens; null if there is none';
comment on column core.serving_measurement.tensor_parallel is 'devices that share each layer; disaggregated: of a worker that decodes';
comment on column core.serving_measurement.expert_parallel is 'devices that whole experts are spread over, 1 if experts are split like other layers; null if it is not stated, or both at once';
comment on column core.serving_measurement.pipeline_parallel is 'stages that the layers are divided into';
comment on column core.serving_measurement.data_parallel is 'replicas of attention, each with a part of the requests';
comment on column core.serving_measurement.concurrency is 'requests in flight; of a batch, its sequences';
comment on column core.serving_measurement.prompt_tokens is 'tokens of a prompt; the mean if they differ';
comment on column core.serving_measurement.output_tokens is 'tokens that a request generates; the mean if they differ';
comment on column core.serving_measurement.has_mean_lengths is 'whether these lengths are means';
comment on column core.serving_measurement.prefill_tensor_parallel is 'devices that share each layer of a worker that prefills; null unless disaggregated';
comment on column core.serving_measurement.prefill_expert_parallel is 'devices that whole experts are spread over, of a worker that prefills';
comment on column core.serving_measurement.prefill_pipeline_parallel is 'stages of a worker that prefills';
comment on column core.serving_measurement.prefill_data_parallel is 'replicas of attention of a worker that prefills';
comment on column core.serving_measurement.prefill_workers is 'workers that prefill; null if not stated';
comment on column core.serving_measurement.decode_workers is 'workers that decode, which share the requests; null if not stated';
comment on column core.serving_measurement.ttft_s is 'measured time from a request to its first token, on average: with others in flight, most of it is waiting';
comment on column core.serving_measurement.tpot_s is 'measured time per output token after the first, on average';
comment on column core.serving_measurement.request_s is 'measured time of a whole request, or of a batch, on average';
comment on column core.serving_measurement.method is 'what was averaged';
comment on column core.serving_measurement.measured_at is 'when it was measured';
comment on column core.serving_measurement.source_id is 'file that states it';

create table core.serving_estimate (
    serving_id varchar primary key,
    running bigint check (running >= 0),
    decode_rows bigint check (decode_rows > 0),
    step_prompt_tokens double
        check (isfinite(step_prompt_tokens) and step_prompt_tokens >= 0),
    chunk_tokens bigint check (chunk_tokens > 0),
    bound_ttft_s double check (isfinite(bound_ttft_s) and bound_ttft_s > 0),
    bound_tpot_s double check (isfinite(bound_tpot_s) and bound_tpot_s > 0),
    expected_ttft_s double check (isfinite(expected_ttft_s) and expected_ttft_s > 0),
    expected_tpot_s double check (isfinite(expected_tpot_s) and expected_tpot_s > 0),
    covered_share double check (covered_share between 0 and 1.000001),
    transferred_from varchar,
    no_bound varchar,
    host_s double check (isfinite(host_s) and host_s >= 0),
    bound_decode_s double check (isfinite(bound_decode_s) and bound_decode_s > 0)
);
comment on table core.serving_estimate is 'one row per run of a serving engine: what its steps hold, and how long they take at the least and are expected to';
comment on column core.serving_estimate.serving_id is 'the run, as in core.serving_measurement';
comment on column core.serving_estimate.running is 'requests that run at once: those in flight, of one worker that decodes, or as many as have their KV cache in the memory that the engine takes';
comment on column core.serving_estimate.decode_rows is 'of these, requests that a step decodes, if its token budget leaves room for all of them beside the prompts';
comment on column core.serving_estimate.step_prompt_tokens is 'tokens of prompts that a step of a replica holds on average: each request that ends is followed by another, so decode rows times prompt / output tokens';
comment on column core.serving_estimate.chunk_tokens is 'tokens of a prompt that one step holds, in the steps that hold any';
comment on column core.serving_estimate.bound_ttft_s is 'lower bound of the time to the first token: a prefill of one prompt, or of the batch, at the roof';
comment on column core.serving_estimate.bound_tpot_s is 'lower bound of the time per output token: a step at the roof, at the mean context, prompt + output / 2 tokens';
comment on column core.serving_estimate.expected_ttft_s is 'expected time to the first token on an idle server';
comment on column core.serving_estimate.expected_tpot_s is 'expected time per output token, by the calibrations of the device';
comment on column core.serving_estimate.covered_share is 'share of the least time of the ops that calibrations cover';
comment on column core.serving_estimate.transferred_from is 'the devices that were measured, if it is another one';
comment on column core.serving_estimate.no_bound is 'why the run has no bound per token; null if it has one';
comment on column core.serving_estimate.host_s is 'time of the engine''s host in a step that the expected times include';
comment on column core.serving_estimate.bound_decode_s is 'lower bound of a step with its decode rows alone, without prompts beside them';

create table core.engine (
    engine varchar not null,
    hardware_id varchar not null,
    memory_share double not null check (memory_share > 0 and memory_share <= 1),
    memory_share_origin varchar not null check (length(trim(memory_share_origin)) > 0),
    token_budget bigint check (token_budget > 0),
    token_budget_origin varchar,
    host_s double not null check (isfinite(host_s) and host_s >= 0),
    host_s_origin varchar,
    n_runs bigint check (n_runs > 0),
    fit_error double check (isfinite(fit_error) and fit_error >= 0),
    holdout_error double check (isfinite(holdout_error) and holdout_error >= 0),
    source_id varchar not null,
    primary key (engine, hardware_id),
    check ((token_budget is null) = (token_budget_origin is null))
);
comment on table core.engine is 'one row per serving engine and device: the numbers of the engine that its expected times depend on';
comment on column core.engine.engine is 'the engine, e.g. vllm, sglang, trtllm or llama.cpp';
comment on column core.engine.hardware_id is 'the device that the row holds for; empty: every device without a row of its own';
comment on column core.engine.memory_share is 'share of the memory of a device that the engine takes for weights and KV cache';
comment on column core.engine.memory_share_origin is 'where that is stated';
comment on column core.engine.token_budget is 'most tokens of a step, of decode and of prompts together; null if there is no such limit';
comment on column core.engine.token_budget_origin is 'where that is stated';
comment on column core.engine.host_s is 'time of the host in each step, beside what the device does';
comment on column core.engine.host_s_origin is 'runs that it was fitted to; null if it is not fitted';
comment on column core.engine.n_runs is 'runs that it was fitted to';
comment on column core.engine.fit_error is 'median error of expected times per output token, as a share of the measured ones, of the runs that it was fitted to';
comment on column core.engine.holdout_error is 'the same of other models'' runs; null if there are none';
comment on column core.engine.source_id is 'file that states it';

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
    pipe varchar not null check (pipe in ('', 'tensor', 'vector', 'scalar')),
    launch varchar not null check (launch in ('eager', 'graph')),
    tile_overhead_s double check (isfinite(tile_overhead_s) and tile_overhead_s >= 0),
    stream_limit double check (isfinite(stream_limit) and stream_limit >= 0),
    stream_exponent double check (isfinite(stream_exponent) and stream_exponent >= 0),
    serial_s double check (isfinite(serial_s) and serial_s >= 0),
    cached_bytes double check (isfinite(cached_bytes) and cached_bytes >= 0),
    cached_cost double check (isfinite(cached_cost) and cached_cost >= 0),
    fitted_kind varchar not null,
    fitted_dtype varchar not null,
    fitted_launch varchar not null check (fitted_launch in ('eager', 'graph')),
    primary key (hardware_id, op_kind, dtype, launch)
);
comment on table core.calibration is 'one row per device, kind of op, dtype and launch: a roof fitted to measurements, of these or of what stands in for them';
comment on column core.calibration.hardware_id is 'the device, by the name of its file';
comment on column core.calibration.op_kind is 'kind of op, as in core.op_shape';
comment on column core.calibration.dtype is 'dtype of the arithmetic';
comment on column core.calibration.compute_efficiency is 'share of the peak that is reached, at the largest tile';
comment on column core.calibration.bandwidth_efficiency is 'share of the bandwidth that is reached';
comment on column core.calibration.overhead_s is 'launch overhead';
comment on column core.calibration.blend is 'exponent that combines compute and memory time';
comment on column core.calibration.tile_limit is 'intensity of a tile, in outputs, at which it reaches half of its rate; null without tiles';
comment on column core.calibration.wave_exponent is 'cost of a last wave that is not full: 0 nothing, 1 a whole wave; null without tiles';
comment on column core.calibration.partial_wave_exponent is 'the same if all tiles are less than one wave; null without tiles';
comment on column core.calibration.tile_blend is 'exponent that combines the sizes of tiles: the larger, the more the fastest dominates; null without tiles';
comment on column core.calibration.sustained_exponent is 'how GEMMs longer than a millisecond slow down; null if they do not';
comment on column core.calibration.n_points is 'measurements that it was fitted to';
comment on column core.calibration.fit_mape is 'mean absolute error of the fit, as a share of the time';
comment on column core.calibration.holdout_mape is 'mean absolute error on measurements that were held out, as a share of the time; null if there are too few';
comment on column core.calibration.transferred_from is 'the device that was measured, if it is another one';
comment on column core.calibration.origin is 'measurements that it was fitted to';
comment on column core.calibration.source_id is 'file that states it';
comment on column core.calibration.pipe is 'units that do the arithmetic: tensor (matrix units of any vendor), vector or scalar; empty if not stated';
comment on column core.calibration.launch is 'how kernels are started: eager, by the program each time, or graph, replayed from a recorded graph';
comment on column core.calibration.tile_overhead_s is 'time that each tile of a GEMM takes beside its arithmetic, or each row of a norm; null if none is counted';
comment on column core.calibration.stream_limit is 'by how much the bytes of a GEMM take longer if there is one tile of 128 x 64 for each multiprocessor; null without streams';
comment on column core.calibration.stream_exponent is 'how that grows with fewer tiles; null without streams';
comment on column core.calibration.serial_s is 'time of one serial step: an element of a row in norms and softmax, or a token of the context in attention, which one block works through, or the way to one more device in a collective; null if there is none';
comment on column core.calibration.cached_bytes is 'bytes that a cache holds, from what an op leaves in it for the next, or of others if their cost is above 1; null if all come from DRAM';
comment on column core.calibration.cached_cost is 'time that bytes take which the cache holds, beside those from DRAM; above 1 if others'' results must be written back first; null if all come from DRAM';
comment on column core.calibration.fitted_kind is 'kind of op that was measured; another one if it stands in, e.g. elementwise for all element-wise ops';
comment on column core.calibration.fitted_dtype is 'dtype that was measured; another one if it stands in';
comment on column core.calibration.fitted_launch is 'launch that was measured; the other one if it stands in';

create table core.step_calibration (
    hardware_id varchar not null,
    phase varchar not null,
    tensor_parallel bigint not null check (tensor_parallel > 0),
    launch varchar not null check (launch in ('eager', 'graph')),
    fusion varchar not null check (fusion in ('engine', 'none')),
    n_steps bigint not null check (n_steps > 0),
    holdout_mape double not null check (isfinite(holdout_mape) and holdout_mape >= 0),
    source_id varchar not null,
    primary key (hardware_id, phase, tensor_parallel, launch, fusion)
);
comment on table core.step_calibration is 'one row per device, phase, number of devices, launch and fusion of measured steps: how far predicted steps are off; only the times between kernels, and that a host needs to start one, were fitted to them';
comment on column core.step_calibration.hardware_id is 'the device, by the name of its file';
comment on column core.step_calibration.phase is 'prefill, decode, speculative or mixed';
comment on column core.step_calibration.tensor_parallel is 'devices that share a layer';
comment on column core.step_calibration.launch is 'how kernels are started: eager, by the program each time, or graph, replayed from a recorded graph';
comment on column core.step_calibration.fusion is 'engine: add and norm, activation and gate, and RoPE are one kernel each; none: each element-wise op of plain PyTorch is a kernel of its own';
comment on column core.step_calibration.n_steps is 'measured steps';
comment on column core.step_calibration.holdout_mape is 'mean absolute error of their expected times, as a share of the measured ones; what is fitted to steps is fitted to those of other models';
comment on column core.step_calibration.source_id is 'file that states it';

create table core.op_kernel (
    fusion varchar not null check (fusion in ('engine', 'none')),
    kind varchar not null,
    phase varchar not null,
    dtype varchar not null,
    place integer not null check (place in (1, 2)),
    is_op boolean not null,
    runs varchar not null,
    times double not null check (isfinite(times) and times >= 0),
    kernels double not null check (isfinite(kernels) and kernels >= 0),
    bytes_factor double not null check (isfinite(bytes_factor) and bytes_factor >= 0),
    activation_factor double not null
        check (isfinite(activation_factor) and activation_factor >= 0),
    token_factor double not null check (isfinite(token_factor) and token_factor >= 0),
    input_factor double not null check (isfinite(input_factor) and input_factor >= 0),
    origin varchar not null check (length(trim(origin)) > 0),
    note varchar,
    source_id varchar not null,
    primary key (fusion, kind, phase, dtype, place)
);
comment on table core.op_kernel is 'one row per fusion, kind of op, phase, dtype and place whose kernels in a step are not one of that kind: what runs beside it or in its place';
comment on column core.op_kernel.fusion is 'engine: add and norm, activation and gate, and RoPE are one kernel each; none: each element-wise op of plain PyTorch is a kernel of its own';
comment on column core.op_kernel.kind is 'kind of op, or the op, as in core.op_shape; the op counts';
comment on column core.op_kernel.phase is 'prefill, decode, speculative or mixed';
comment on column core.op_kernel.dtype is 'dtype of the arithmetic';
comment on column core.op_kernel.place is 'first or second of what runs for the op';
comment on column core.op_kernel.is_op is 'whether a kernel of the kind itself runs too';
comment on column core.op_kernel.runs is 'kind of op whose calibration says how long it takes';
comment on column core.op_kernel.times is 'how often that runs for one execution of the op';
comment on column core.op_kernel.kernels is 'kernels that one of them starts';
comment on column core.op_kernel.bytes_factor is 'bytes that they move together, beside those of the op';
comment on column core.op_kernel.activation_factor is 'bytes that they move together, beside the activations of the op';
comment on column core.op_kernel.token_factor is 'bytes that they move together, beside the keys and values of the tokens of the step';
comment on column core.op_kernel.input_factor is 'bytes that they move together for each element of the inputs of a GEMM';
comment on column core.op_kernel.origin is 'where the kernels were counted';
comment on column core.op_kernel.note is 'remark on the count';
comment on column core.op_kernel.source_id is 'file that states it';

create table core.own_chart (
    source_id varchar not null,
    chart_number integer not null check (chart_number >= 1),
    name varchar not null,
    template varchar not null,
    entry varchar not null,
    fault varchar,
    primary key (source_id, chart_number)
);
comment on table core.own_chart is 'one row per chart of the user''s own gallery (gallery.toml in a catalog)';
comment on column core.own_chart.source_id is 'the input file';
comment on column core.own_chart.chart_number is 'position in its file, from 1';
comment on column core.own_chart.name is 'name of the chart; with fields in braces, the names of several charts';
comment on column core.own_chart.template is 'query of sql/charts that draws it';
comment on column core.own_chart.entry is 'the entry''s other fields, as JSON';
comment on column core.own_chart.fault is 'why the entry cannot be used; null if it can';

create table core.sweep (
    sweep_id varchar primary key,
    folder varchar not null,
    row_count bigint not null check (row_count >= 0),
    models varchar[] not null,
    conventions varchar[] not null,
    phases varchar[] not null,
    precisions varchar[] not null,
    tensor_parallel_range varchar not null,
    batch_range varchar not null,
    sequence_range varchar not null,
    candidate_range varchar,
    code_version varchar not null,
    created_at timestamptz not null,
    query_range varchar,
    expert_parallel_range varchar not null,
    pipeline_parallel_range varchar not null,
    data_parallel_range varchar not null,
    device_like varchar,
    bandwidth_range varchar,
    memory_range varchar,
    link_range varchar,
    peak_ranges varchar[]
);
comment on table core.sweep is 'one row per sweep: its grid, and where its files are';
comment on column core.sweep.sweep_id is 'the sweep, by its given name';
comment on column core.sweep.folder is 'folder of its files, relative to the home unless it is elsewhere';
comment on column core.sweep.row_count is 'op costs of the sweep: rows of all its files';
comment on column core.sweep.models is 'models that were asked for; one whose heads cannot be split evenly has no rows';
comment on column core.sweep.conventions is 'conventions that were asked for';
comment on column core.sweep.phases is 'phases that were asked for';
comment on column core.sweep.precisions is 'precisions that were asked for';
comment on column core.sweep.tensor_parallel_range is 'numbers of devices, as given';
comment on column core.sweep.batch_range is 'batch sizes, as given';
comment on column core.sweep.sequence_range is 'sequence lengths, as given';
comment on column core.sweep.candidate_range is 'candidates of speculative steps, as given';
comment on column core.sweep.query_range is 'tokens of a chunk of a prompt, as given; null: whole prompts';
comment on column core.sweep.code_version is 'version of the package and digest of the code and SQL that ran';
comment on column core.sweep.created_at is 'when it was registered';
comment on column core.sweep.expert_parallel_range is 'values of expert_parallel, as given';
comment on column core.sweep.pipeline_parallel_range is 'values of pipeline_parallel, as given';
comment on column core.sweep.data_parallel_range is 'values of data_parallel, as given';
comment on column core.sweep.device_like is 'device that the made-up ones are like; null without any';
comment on column core.sweep.bandwidth_range is 'bandwidths of made-up devices, bytes/s, as given; null: as the device that they are like';
comment on column core.sweep.memory_range is 'memories of made-up devices, bytes, as given; null: as the device that they are like';
comment on column core.sweep.link_range is 'bandwidths of the interconnect of made-up devices, bytes/s, as given; null: as the device that they are like';
comment on column core.sweep.peak_ranges is 'peaks of made-up devices, FLOP/s of a dtype, as given; null: as the device that they are like';

create table core.sweep_device (
    sweep_id varchar not null,
    device_number bigint not null check (device_number > 0),
    hardware_id varchar not null,
    bandwidth_bytes_per_s double check (isfinite(bandwidth_bytes_per_s) and bandwidth_bytes_per_s > 0),
    memory_bytes double check (isfinite(memory_bytes) and memory_bytes > 0),
    link_bytes_per_s double check (isfinite(link_bytes_per_s) and link_bytes_per_s > 0),
    peaks map(varchar, double) not null,
    primary key (sweep_id, device_number)
);
comment on table core.sweep_device is 'one row per made-up device of a sweep: like a device of the catalog, but for the values that are given';
comment on column core.sweep_device.sweep_id is 'the sweep, by its given name';
comment on column core.sweep_device.device_number is 'number of the device in its sweep, from 1';
comment on column core.sweep_device.hardware_id is 'the device that it is like';
comment on column core.sweep_device.bandwidth_bytes_per_s is 'bandwidth of DRAM; null: as the device that it is like';
comment on column core.sweep_device.memory_bytes is 'device memory; null: as the device that it is like';
comment on column core.sweep_device.link_bytes_per_s is 'bandwidth of the interconnect, sent by one device, one way; null: as the device that it is like';
comment on column core.sweep_device.peaks is 'dtype -> peak in FLOP/s, dense; of other dtypes as the device that it is like';

create table core.sweep_part (
    sweep_id varchar not null,
    path varchar not null,
    row_count bigint not null check (row_count > 0),
    size_bytes bigint not null check (size_bytes > 0),
    primary key (sweep_id, path)
);
comment on table core.sweep_part is 'one row per Parquet file of a sweep';
comment on column core.sweep_part.sweep_id is 'the sweep, by its given name';
comment on column core.sweep_part.path is 'file, relative to the sweep''s folder; its name is a digest of its inputs';
comment on column core.sweep_part.row_count is 'rows of the file';
comment on column core.sweep_part.size_bytes is 'size of the file';
