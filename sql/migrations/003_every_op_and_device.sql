-- every family of models, ops of one's own, several origins of one ceiling; a run fills these tables anew
alter table core.hardware add column l2_bytes double;
comment on column core.hardware.l2_bytes is 'size of the L2 cache; null where not published';

drop table core.ceiling;
create table core.ceiling (
    hardware_id varchar not null,
    kind varchar not null check (kind in ('compute', 'bandwidth')),
    name varchar not null,
    basis varchar not null check (basis in ('datasheet', 'as_printed', 'measured')),
    origin varchar not null check (length(trim(origin)) > 0),
    value_per_s double not null check (isfinite(value_per_s) and value_per_s > 0),
    is_default boolean not null,
    preference bigint not null check (preference > 0),
    note varchar,
    source_id varchar not null,
    primary key (hardware_id, kind, name, basis, origin)
);
comment on table core.ceiling is 'one row per limit of a device, basis and origin: FLOP/s of a dtype (dense), or bytes/s of a memory level or of the interconnect';
comment on column core.ceiling.hardware_id is 'the device, by the name of its file';
comment on column core.ceiling.kind is 'compute (FLOP/s) or bandwidth (bytes/s)';
comment on column core.ceiling.name is 'dtype of a compute ceiling; level of a bandwidth ceiling: dram, l2 or interconnect (sent by one device, one way)';
comment on column core.ceiling.basis is 'where the value comes from: datasheet (nominal: published or derived from what is, see origin), as_printed (a published chart) or measured';
comment on column core.ceiling.origin is 'document that states the value';
comment on column core.ceiling.value_per_s is 'FLOP/s or bytes/s; 2 FLOP per multiply-add, always dense';
comment on column core.ceiling.is_default is 'whether points are held against this value; one per device, kind and name';
comment on column core.ceiling.preference is 'order among the origins of one basis: roofs of that basis use the first';
comment on column core.ceiling.note is 'what to know about the value';
comment on column core.ceiling.source_id is 'file that carries it';

drop table core.model;
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
    value_head_dim bigint not null check (value_head_dim > 0),
    vocab_size bigint not null check (vocab_size > 0),
    num_experts bigint check (num_experts > 0),
    experts_per_token bigint check (experts_per_token between 1 and num_experts),
    expert_intermediate_size bigint check (expert_intermediate_size > 0),
    shared_intermediate_size bigint check (shared_intermediate_size > 0),
    num_moe_layers bigint not null check (num_moe_layers between 0 and num_layers),
    q_lora_rank bigint check (q_lora_rank > 0),
    kv_lora_rank bigint check (kv_lora_rank > 0),
    rope_head_dim bigint not null check (rope_head_dim between 0 and head_dim),
    sliding_window bigint check (sliding_window > 0),
    num_local_layers bigint not null check (num_local_layers between 0 and num_layers),
    is_gated boolean not null,
    activation_kind varchar not null,
    norm_kind varchar not null,
    norms_per_layer bigint not null check (norms_per_layer > 0),
    has_qk_norm boolean not null,
    qkv_bias boolean not null,
    output_bias boolean not null,
    mlp_bias boolean not null,
    router_bias boolean not null,
    tied_embeddings boolean not null,
    other_parameters bigint not null check (other_parameters >= 0),
    parameters bigint not null check (parameters > 0),
    active_parameters bigint not null check (active_parameters > 0),
    source_id varchar not null
);
comment on table core.model is 'one row per model';
comment on column core.model.model_id is 'the model, by the name of its config file';
comment on column core.model.short_name is 'name on charts';
comment on column core.model.architecture is 'class that the Hugging Face config names';
comment on column core.model.hidden_size is 'width of the residual stream, h';
comment on column core.model.intermediate_size is 'width of the feed-forward layer, i; where every layer is a mixture, that of one expert';
comment on column core.model.num_layers is 'decoder layers';
comment on column core.model.num_heads is 'query heads, H';
comment on column core.model.num_kv_heads is 'key and value heads, H_kv';
comment on column core.model.head_dim is 'size of one query and key head, d';
comment on column core.model.value_head_dim is 'size of one value head: d, but for latent attention';
comment on column core.model.vocab_size is 'tokens in the vocabulary';
comment on column core.model.num_experts is 'routed experts of a mixture, E; null for a dense model';
comment on column core.model.experts_per_token is 'routed experts that a token is sent to, k; null for a dense model';
comment on column core.model.expert_intermediate_size is 'width of one routed expert; null for a dense model';
comment on column core.model.shared_intermediate_size is 'width of the shared experts together; null where there are none';
comment on column core.model.num_moe_layers is 'layers that are mixtures of experts; the others are dense';
comment on column core.model.q_lora_rank is 'latent rank of queries; null where they are projected at once';
comment on column core.model.kv_lora_rank is 'latent rank of keys and values, r; null without latent attention';
comment on column core.model.rope_head_dim is 'part of a head that is rotated; 0 where positions are learned';
comment on column core.model.sliding_window is 'tokens that a local layer sees, w; null without local layers';
comment on column core.model.num_local_layers is 'layers with a sliding window';
comment on column core.model.is_gated is 'whether feed-forward layers have a gate beside the up projection';
comment on column core.model.activation_kind is 'activation of feed-forward layers, a kind of core.elementwise';
comment on column core.model.norm_kind is 'norm, a kind of core.elementwise';
comment on column core.model.norms_per_layer is 'norms over the hidden size in one layer';
comment on column core.model.has_qk_norm is 'whether queries and keys are normed head by head';
comment on column core.model.qkv_bias is 'whether the Q, K and V projections have biases';
comment on column core.model.output_bias is 'whether the output projection of attention has a bias';
comment on column core.model.mlp_bias is 'whether feed-forward linears have biases';
comment on column core.model.router_bias is 'whether the router has a bias';
comment on column core.model.tied_embeddings is 'whether embedding and lm_head are one matrix';
comment on column core.model.other_parameters is 'weights of which no op is made: learned positions, attention sinks, gates of shared experts';
comment on column core.model.parameters is 'weights, counted from the config';
comment on column core.model.active_parameters is 'weights that one token passes through: of routed experts, only those chosen';
comment on column core.model.source_id is 'config file';

create table core.model_shard (
    model_id varchar not null,
    tensor_parallel bigint not null check (tensor_parallel > 0),
    weights bigint not null check (weights > 0),
    kv_elements_per_token bigint not null check (kv_elements_per_token >= 0),
    local_kv_elements_per_token bigint not null check (local_kv_elements_per_token >= 0),
    primary key (model_id, tensor_parallel)
);
comment on table core.model_shard is 'one row per model and number of devices that share it: what one device must hold';
comment on column core.model_shard.model_id is 'the model, by the name of its config file';
comment on column core.model_shard.tensor_parallel is 'devices that share the model';
comment on column core.model_shard.weights is 'weights that one device holds, all experts among them';
comment on column core.model_shard.kv_elements_per_token is 'elements of KV cache a token in layers that see the whole context';
comment on column core.model_shard.local_kv_elements_per_token is 'elements of KV cache a token in layers with a sliding window';

create table core.op_set (
    op_set_id varchar primary key,
    short_name varchar not null,
    source_id varchar not null
);
comment on table core.op_set is 'one row per file of ops of one''s own';
comment on column core.op_set.op_set_id is 'name of the file; the model_id of its ops';
comment on column core.op_set.short_name is 'name on charts';
comment on column core.op_set.source_id is 'file that carries them';

drop table core.elementwise;
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
comment on table core.elementwise is 'one row per kind of op that is no matrix product: what an element of its output costs';
comment on column core.elementwise.kind is 'kind of op, as in core.op_shape';
comment on column core.elementwise.flops_per_element is 'FLOP per element';
comment on column core.elementwise.reads_per_element is 'activations read per element';
comment on column core.elementwise.writes_per_element is 'activations written per element';
comment on column core.elementwise.weight_reads_per_element is 'weights read per element';
comment on column core.elementwise.origin is 'document that counts so, or how the count comes about';
comment on column core.elementwise.note is 'what to know about the count';
comment on column core.elementwise.source_id is 'file that carries it';

drop table core.op_shape;
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
    attended_tokens double check (isfinite(attended_tokens) and attended_tokens > 0),
    cached_tokens bigint check (cached_tokens > 0),
    matrices double not null check (isfinite(matrices) and matrices > 0),
    experts bigint check (experts > 0),
    has_bias boolean not null,
    level varchar not null check (level in ('dram', 'interconnect')),
    repeat bigint not null check (repeat > 0)
);
comment on table core.op_shape is 'one row per op of a model at a setting, or op of one''s own: its dimensions';
comment on column core.op_shape.shape_id is 'stable hash of model, convention, phase, setting and op';
comment on column core.op_shape.model_id is 'the model, by the name of its config file; of ops of one''s own, the name of their file';
comment on column core.op_shape.convention is 'which ops exist and how they are fused: paper (products only, unfused, not causal), llm-viewer (the same with softmax, norms and residual adds), engine (fused products, flash attention, causal, with everything else that a serving engine runs), or custom (ops of one''s own)';
comment on column core.op_shape.phase is 'prefill, decode or speculative; null for a kernel of no model';
comment on column core.op_shape.batch_size is 'sequences in the batch, b';
comment on column core.op_shape.sequence_length is 'prompt length in prefill, context length otherwise, s';
comment on column core.op_shape.query_length is 'query tokens a sequence, q: s in prefill, 1 in decode, the candidates in speculative';
comment on column core.op_shape.tensor_parallel is 'devices that share the layer; the shape is one device''s share';
comment on column core.op_shape.op is 'the operator';
comment on column core.op_shape.op_group is 'group that it is drawn with';
comment on column core.op_shape.kind is 'formula of its cost: linear, qk, pv, attention, all_reduce, given, or a kind of core.elementwise';
comment on column core.op_shape.m is 'rows of the product, of all its matrices together; of attention, those of one head; of an element-wise op, rows of its output';
comment on column core.op_shape.k is 'inner dimension of the product; null for an element-wise op';
comment on column core.op_shape.n is 'columns of the product or of the element-wise output';
comment on column core.op_shape.heads is 'query heads of an attention op';
comment on column core.op_shape.kv_heads is 'key and value heads of an attention op';
comment on column core.op_shape.head_dim is 'head size of an attention op: queries and keys';
comment on column core.op_shape.value_dim is 'head size of an attention op: values';
comment on column core.op_shape.kv_dim is 'elements of the KV cache that an attention op reads, a token and key head';
comment on column core.op_shape.attended_tokens is 'tokens that a query of an attention op is multiplied with, on average';
comment on column core.op_shape.cached_tokens is 'tokens a sequence whose keys or values an attention op reads';
comment on column core.op_shape.matrices is 'weight matrices that a product reads: 1; of a mixture, the distinct experts to expect under uniform routing; of a product by heads, the heads';
comment on column core.op_shape.experts is 'routed experts that the matrices are chosen from; null for other ops';
comment on column core.op_shape.has_bias is 'whether a bias is added to the product';
comment on column core.op_shape.level is 'what the bytes move through: dram, or interconnect';
comment on column core.op_shape.repeat is 'times that the op runs in one step of the model';
