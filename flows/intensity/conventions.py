"""The ops of each convention, and their dimensions as expressions of model and setting.

A row is one device's share of an op: with tensor parallelism of t, heads and widths are split t ways
(rounded up), keys and values are replicated if there are fewer of them than devices, and norms,
routers and latent projections are run by each device in full.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

import polars as pl

from flows.intensity.terms import SHARING, Part

_BATCH, _QUERY, _CONTEXT = pl.col("batch_share"), pl.col("query_length"), pl.col("sequence_length")
_DEVICES, _HIDDEN = pl.col("tensor_parallel"), pl.col("hidden_size")
_WINDOW, _CHUNK = pl.col("sliding_window"), pl.col("attention_chunk")
_IS_PREFILL, _IS_MIXED = pl.col("phase") == "prefill", pl.col("phase") == "mixed"

_ONCE, _ZERO, _NONE = pl.lit(1), pl.lit(0), pl.lit(None, pl.Int64)
_TRUE = pl.lit(value=True)


def _share(size: pl.Expr) -> pl.Expr:
    """Return the largest share that a device holds of something that is split."""
    return (size + _DEVICES - 1) // _DEVICES


def _if(condition: pl.Expr, size: pl.Expr) -> pl.Expr:
    return pl.when(condition).then(size).otherwise(0)


def _has(column: str) -> pl.Expr:
    return pl.col(column).is_not_null()


def _is(column: str) -> pl.Expr:
    """Return whether a flag is set; null if the layer lacks the kind that has it."""
    return pl.col(column).fill_null(value=False)


def _some(column: str) -> pl.Expr:
    """Return whether a size is given and not 0."""
    return pl.col(column).fill_null(0) > 0


_HEADS, _KV_HEADS, _INTERMEDIATE = (_share(pl.col(name)) for name in ("num_heads", "num_kv_heads", "intermediate_size"))
_VOCABULARY = _share(pl.col("vocab_size"))
# Experts that are spread are whole, and shared experts are replicated.
_SPREAD, _IS_SPREAD = pl.col("expert_parallel"), pl.col("expert_parallel") > 1
_EXPERT, _SHARED = (
    pl.when(_IS_SPREAD).then(pl.col(name)).otherwise(_share(pl.col(name)))
    for name in ("expert_intermediate_size", "shared_intermediate_size")
)
_HEAD_DIM, _VALUE_DIM, _ROPE = pl.col("head_dim"), pl.col("value_head_dim"), pl.col("rope_head_dim")
_GATE = _share(pl.col("attention_gate_size"))

# Latent attention: ranks of the latents, and the part of a head that is not rotated.
_Q_RANK, _LATENT = pl.col("q_lora_rank"), pl.col("kv_lora_rank")
_PLAIN = _HEAD_DIM - _ROPE
_ATTENDS = _has("num_heads")
_IS_LATENT = _has("kv_lora_rank")
_IS_COMPRESSED = _has("compression_ratio")
_IS_PLAIN = _ATTENDS & ~_IS_LATENT & ~_IS_COMPRESSED
_IS_RANKED = _IS_LATENT & _has("q_lora_rank")
_IS_UNRANKED = _IS_LATENT & ~_has("q_lora_rank")
_OWN_LATENT = _IS_LATENT & ~_is("shares_kv")
_OWN_KEYS = _IS_PLAIN & ~_is("shares_kv")
_OWN_VALUES = _OWN_KEYS & ~_is("keys_are_values")
# In decode the projection of keys and values is absorbed into queries and output: all heads share the latent.
_EXPANDS, _ABSORBS = _IS_PREFILL, ~_IS_PREFILL

# Sparse attention: the indexer scores the whole context, and attention sees the best of it.
_IS_INDEXED = _has("index_heads") & ~_IS_COMPRESSED
_INDEXES = _IS_INDEXED & ~_is("index_is_shared")  # others attend to what the last indexer chose
_INDEX_HEADS, _INDEX_DIM, _TOP_K = pl.col("index_heads"), pl.col("index_head_dim"), pl.col("index_top_k")
_INDEX_INPUT = pl.when(_is("index_from_latent") & _has("q_lora_rank")).then(_Q_RANK).otherwise(_HIDDEN)

# Compressed keys: one for `ratio` tokens, that of a key and of a value; some layers keep a window only.
_RATIO = pl.col("compression_ratio")
_COMPRESSES = _IS_COMPRESSED & _some("compression_ratio")
_INDEXES_COMPRESSED = _IS_COMPRESSED & _has("index_heads")
_OUT_GROUPS, _OUT_RANK = _share(pl.col("out_groups")), pl.col("out_lora_rank")
_TWOFOLD = pl.when(_is("compression_overlaps")).then(2).otherwise(1)

# Recurrent mixers: a state of heads * key_dim * value_dim, split by heads.
_IS_RECURRENT = _has("recurrence")
_STATE_HEADS, _STATE_KEY_HEADS = _share(pl.col("state_heads")), _share(pl.col("state_key_heads"))
_KEY_DIM, _STATE_VALUE_DIM = pl.col("state_key_dim"), pl.col("state_value_dim")
_INNER = _STATE_HEADS * _STATE_VALUE_DIM
_CHANNELS, _KERNEL = _share(pl.col("conv_channels")), pl.col("conv_kernel")
_RANK, _SELECTED = pl.col("select_rank"), pl.col("select_size")
_GATES, _GATE_COLUMNS = pl.col("gate_rank"), _share(pl.col("gate_size"))
_BLOCKS = _share(pl.col("gate_blocks"))

_EXPERTS, _CHOSEN = pl.col("num_experts"), pl.col("experts_per_token")
_IS_DENSE, _IS_MOE, _IS_SHARED = _has("intermediate_size"), _has("num_experts"), _has("shared_intermediate_size")
_IS_GATED, _EXPERT_IS_GATED = _is("is_gated"), _is("expert_is_gated")
_WIDE = pl.when(_some("expert_latent_size")).then(pl.col("expert_latent_size")).otherwise(_HIDDEN)
_ROUTED = _EXPERTS + pl.col("zero_experts")  # a zero expert passes the token through
_LOCAL = (_EXPERTS + _SPREAD - 1) // _SPREAD  # the most that a device holds
_LOAD = pl.col("expert_load")
_MEAN_CHOSEN = _CHOSEN * _EXPERTS / _ROUTED

# Rows of activations: those of a prompt or its chunk, one a sequence in decode, candidates in speculative; in a mixed
# step, one of each sequence and those of the chunk beside them. The sequences are those of one replica and micro-batch.
_ROWS = pl.when(_IS_MIXED).then(_BATCH + _QUERY).otherwise(_BATCH * _QUERY)
# lm_head sees the last token of a prompt, or of its chunk, only.
_LAST_ROWS = pl.when(_IS_PREFILL).then(_BATCH).when(_IS_MIXED).then(_BATCH + 1).otherwise(_ROWS)
# Experts that are spread serve all replicas whose devices they are on; each device sends and adds its part of the rows.
_SERVED_ROWS = pl.when(_IS_SPREAD).then(_ROWS * (_SPREAD // _DEVICES)).otherwise(_ROWS)
_OWN_ROWS = pl.when(_IS_SPREAD).then(_share(_ROWS)).otherwise(_ROWS)
# Rounded up in integers: polars may multiply by the reciprocal of a divisor, which can end above a whole number.
_ROUTED_ROWS = (
    pl.when(_IS_SPREAD)
    .then(((_SERVED_ROWS * _CHOSEN * _LOCAL * _LOAD).ceil().cast(pl.Int64) + _ROUTED - 1) // _ROUTED)
    .otherwise((_ROWS * _CHOSEN * _EXPERTS) // _ROUTED)
)
_ROUTED_SHARE = (
    pl.when(_IS_SPREAD).then(_SPREAD // _DEVICES * _CHOSEN * _LOCAL * _LOAD).otherwise(_CHOSEN * _EXPERTS) / _ROUTED
)
# Distinct experts that T tokens are expected to hit, E (1 - (1 - k/E)^T), if each chooses k of E uniformly; the device
# that waits longest computes one at least, and has more rows by the load factor.
_MET_EXPERTS = (
    pl.when(_IS_SPREAD)
    .then(
        pl.max_horizontal(1.0, _LOCAL * (1 - (1 - pl.min_horizontal(_LOAD * _CHOSEN / _ROUTED, 1.0)).pow(_SERVED_ROWS)))
    )
    .otherwise(_EXPERTS * (1 - (1 - _CHOSEN / _ROUTED).pow(_ROWS)))
)
# A token is sent once to each other device that holds one of its experts, of which it chooses k.
_COPIES = _LOAD * (_SPREAD - 1) * (1 - (1 - 1 / _SPREAD).pow(_MEAN_CHOSEN))

# The queries are the last tokens of the context: a whole prompt, a chunk of it, the one token of decode, or a chain of
# candidates. What all of the first i tokens attend to together is a sum over i; theirs is the difference of two.
_BEFORE = pl.max_horizontal(_CONTEXT - _QUERY, 0)
_PLACES = _CONTEXT - _BEFORE


def _mean_seen(count_seen: Callable[[pl.Expr], pl.Expr]) -> pl.Expr:
    """Return what a query attends to on average, if all of the first i tokens together attend to `count_seen(i)`."""
    return (count_seen(_CONTEXT) - count_seen(_BEFORE)) / _PLACES


def _sum_nearest(size: pl.Expr) -> Callable[[pl.Expr], pl.Expr]:
    """Return the sum over the first tokens of min(i, size): of a window, or of the best that an indexer leaves."""

    def count(tokens: pl.Expr) -> pl.Expr:
        seen = pl.min_horizontal(tokens, size)
        return seen * (seen + 1) / 2 + (tokens - seen) * seen

    return count


def _sum_chunks(tokens: pl.Expr) -> pl.Expr:
    """Return the sum over the first tokens of those before each in its own chunk, with itself."""
    full, rest = tokens // _CHUNK, tokens % _CHUNK
    return (full * (_CHUNK * (_CHUNK + 1)) + rest * (rest + 1)) / 2


# Compressed keys are seen once all of their tokens are: floor(i / r), of which an indexer leaves the best k.
_KEYS = pl.when(_RATIO > 0).then(_CONTEXT // _RATIO).otherwise(0)


def _sum_keys(*most: pl.Expr) -> Callable[[pl.Expr], pl.Expr]:
    """Return the sum over the first tokens of min(floor(i / r), most)."""

    def count(tokens: pl.Expr) -> pl.Expr:
        last = pl.min_horizontal(tokens // _RATIO, *most)
        return last * (tokens + 1 - _RATIO * (last + 1) / 2)

    return lambda tokens: pl.when(_RATIO > 0).then(count(tokens)).otherwise(0)


_SEEN = _CONTEXT - (_PLACES - 1) / 2
_SEEN_LOCAL, _SEEN_BEST = _mean_seen(_sum_nearest(_WINDOW)), _mean_seen(_sum_nearest(_TOP_K))
_SEEN_CHUNK = _mean_seen(_sum_chunks)
# What the queries reach together: their windows, the chunk of the first of them and those after it, the best of each.
_REACH_LOCAL = pl.min_horizontal(_CONTEXT, _WINDOW + _PLACES - 1)
_REACH_CHUNK = _CONTEXT - _BEFORE // _CHUNK * _CHUNK
_REACH_BEST = pl.min_horizontal(_CONTEXT, _QUERY * _TOP_K)
_REACH_KEYS = pl.min_horizontal(_KEYS, _QUERY * _TOP_K)


# A mixed step is a decode step of the batch beside a chunk of one prompt: what an op is called that runs apart, and the
# setting that it sees.
MIXED: dict[str, dict[str, str | int]] = {
    "": {"phase": "decode", "query_length": 1},
    "_prefill": {"phase": "prefill", "batch_share": 1},
}

# Layers run in stages, and a batch in micro-batches: the largest stage runs each of its layers once for each. Until the
# first has passed all stages, and in decode whenever there are fewer micro-batches than stages, a device waits.
_STAGES, _TURNS = pl.col("pipeline_parallel"), pl.col("micro_batches")

# What tells settings apart, and the numbers that follow from them and from the workload.
SETTING = ["model_id", "convention", "phase", "batch_size", "sequence_length", "query_length", *SHARING]
OF_SETTING = ["batch_share", "micro_batches", "expert_load"]


@dataclass(frozen=True)
class Attention:
    """What only attention ops have: heads, their sizes, and the tokens that they see."""

    heads: pl.Expr = _HEADS
    kv_heads: pl.Expr = _KV_HEADS
    head_dim: pl.Expr = _HEAD_DIM
    value_dim: pl.Expr = _VALUE_DIM
    kv_dim: pl.Expr = _HEAD_DIM + _VALUE_DIM
    attended: pl.Expr = _CONTEXT
    cached: pl.Expr = _CONTEXT


@dataclass(frozen=True)
class State:
    """What a recurrent op moves of the state of a sequence: elements, and their bits if they have their own."""

    elements: pl.Expr
    bits: pl.Expr = _NONE
    chunk: pl.Expr = _NONE


_PARTS: dict[str, Part] = {
    "qkv mlp": "attention", "out": "attention", "qk/pv": "scores", "attention": "scores", "recurrence": "recurrence",
    "up/gate/down": "mlp", "router": "router", "lm_head": "lm_head", "embedding": "embedding", "norm": "norm",
    "elementwise": "elementwise", "communication": "exchange",
}  # fmt: skip


@dataclass(frozen=True)
class Op:
    """One operator: m, k, n of its product, or m rows of n elements, as expressions of layer and setting.

    It runs `times` in each layer of the kinds that have it (`of`), in the settings of `when`; an op of the whole model
    (`once`) runs once. `weights` are the elements that it holds (not: reads) on a device, by default those of its
    matrices and its bias. `suffix` sets apart layers with another reach; others are set apart only if they differ.
    """

    op: str
    op_group: str
    kind: str | pl.Expr
    m: pl.Expr
    k: pl.Expr
    n: pl.Expr
    of: pl.Expr = _TRUE
    when: pl.Expr = _TRUE
    times: pl.Expr = _ONCE
    once: bool = False
    matrices: pl.Expr = _ONCE
    is_mixture: bool = False
    bias: pl.Expr = field(default_factory=lambda: pl.lit(value=False))
    attention: Attention | None = None
    state: State | None = None
    level: str = "dram"
    weights: pl.Expr | None = None
    suffix: str = ""
    own_part: Part | None = None

    @property
    def part(self) -> Part:
        """Part of the model that a precision can set apart."""
        return self.own_part or ("experts" if self.is_mixture else _PARTS[self.op_group])

    @property
    def name(self) -> str:
        """Name of the op, which tells its reach."""
        return f"{self.op}{self.suffix}"

    @property
    def runs_apart(self) -> bool:
        """Whether it runs once for the decoded rows of a mixed step, and again for the chunk beside them."""
        by_phase = "phase" in self.when.meta.root_names()
        return self.op == "softmax" or by_phase or bool(self.attention or self.state)

    @cached_property
    def dimensions(self) -> dict[str, pl.Expr]:
        """The columns of core.op_shape besides its key, the setting and the name."""
        seen, state = self.attention, self.state
        return {
            "op_group": pl.lit(self.op_group),
            "kind": pl.lit(self.kind) if isinstance(self.kind, str) else self.kind,
            "sequences": _BATCH if seen or state else _NONE,
            "m": self.m.cast(pl.Int64),
            "k": self.k.cast(pl.Int64),
            "n": self.n.cast(pl.Int64),
            "heads": seen.heads if seen else _NONE,
            "kv_heads": seen.kv_heads if seen else _NONE,
            "head_dim": seen.head_dim if seen else _NONE,
            "value_dim": seen.value_dim if seen else _NONE,
            "kv_dim": seen.kv_dim if seen else _NONE,
            "attended_tokens": (seen.attended if seen else _NONE).cast(pl.Float64),
            "cached_tokens": seen.cached if seen else _NONE,
            "matrices": self.matrices.cast(pl.Float64),
            "experts": _LOCAL if self.is_mixture else _NONE,
            "row_share": self._row_share().cast(pl.Float64),
            "has_bias": self.bias,
            "level": pl.lit(self.level),
            "state_elements": (state.elements if state else _NONE).cast(pl.Float64),
            "state_bits": (state.bits if state else _NONE).cast(pl.Float64),
            "chunk_size": state.chunk if state else _NONE,
            "repeat": self.repeat().cast(pl.Int64),
            "part": pl.lit(self.part),
            "idle_repeat": self.idle_repeat().cast(pl.Int64),
        }

    def _row_share(self) -> pl.Expr:
        """Return the rows of the op for each row of a replica, before they are rounded; null: that row."""
        if self.m is _ROUTED_ROWS:
            return _ROUTED_SHARE
        return pl.when(_IS_SPREAD).then(1 / _DEVICES) if self.m is _OWN_ROWS else _NONE

    def repeat(self) -> pl.Expr:
        """Return how often the op runs on a device in a step: in how many layers, as many times as each has it."""
        return _TURNS * (_ONCE if self.once else self._in_stage())

    def idle_repeat(self) -> pl.Expr:
        """Return how often other stages run the op while the device has nothing to do.

        Negative for an op of one stage that runs while the device would wait: with fewer micro-batches than stages, the
        next one is still on its way.
        """
        if isinstance(self.kind, str) and self.kind == "send":
            return pl.max_horizontal(pl.when(_IS_PREFILL).then(_STAGES - 2).otherwise(_STAGES - 1 - _TURNS), 0)
        if self.once:
            return pl.when(_IS_PREFILL | (_TURNS >= _STAGES)).then(0).otherwise(1 - _TURNS)
        passed = self._in_stage() * pl.when(_IS_PREFILL).then(1).otherwise(_TURNS)
        return pl.max_horizontal(pl.col("num_layers") * self.times - passed, 0)

    def _in_stage(self) -> pl.Expr:
        return (pl.col("num_layers") + _STAGES - 1) // _STAGES * self.times

    @cached_property
    def columns(self) -> list[str]:
        """The columns of a layer that the op depends on, but for the number of layers."""
        expressions = [*self.dimensions.values(), self.when, self.held()]
        names = {name for of in expressions for name in of.meta.root_names()}
        return sorted(names.difference(SETTING, OF_SETTING, ("num_layers",)))

    def held(self) -> pl.Expr:
        """Return the weights of the op that a device holds, in all layers of a kind."""
        own = self.weights
        if own is None:
            if not self._is_linear():
                return _ZERO
            own = self._count() * (self.k * self.n + pl.when(self.bias).then(self.n).otherwise(0))
        return self._in_all_layers(own)

    def held_in_matrices(self) -> pl.Expr:
        """Return those of the weights that stand in matrices; the others are biases, norms and single numbers."""
        if self._is_linear():
            return self._in_all_layers(self._count() * self.k * self.n)
        return self.held() if self.op_group == "embedding" else _ZERO

    def held_rows(self) -> pl.Expr:
        """Return the output rows of the matrices, each of which may have a scale."""
        return self._in_all_layers(self._count() * self.n) if self._is_linear() else _ZERO

    def _is_linear(self) -> bool:
        return isinstance(self.kind, str) and self.kind == "linear"

    def _count(self) -> pl.Expr:
        return _LOCAL if self.is_mixture else self.matrices

    def _in_all_layers(self, own: pl.Expr) -> pl.Expr:
        times = _ONCE if self.once else pl.col("num_layers") * self.times
        return pl.when(self.when).then(own * times).otherwise(0)

    def active(self) -> pl.Expr:
        """Return the weights of the op that one token passes through."""
        return self.held() * _CHOSEN // _ROUTED if self.is_mixture else self.held()


def _linear(
    op: str,
    op_group: str,
    sizes: tuple[pl.Expr, pl.Expr],
    of: pl.Expr = _TRUE,
    *,
    rows: pl.Expr = _ROWS,
    when: pl.Expr = _TRUE,
    once: bool = False,
    matrices: pl.Expr = _ONCE,
    bias: str | None = None,
    is_mixture: bool = False,
    part: Part | None = None,
) -> Op:
    has_bias = _is(bias) if bias else pl.lit(value=False)
    found = Op(op, op_group, "linear", rows, *sizes, of, when, _ONCE, once, matrices, is_mixture, has_bias)
    return replace(found, own_part=part)


def _norm(
    op: str,
    of: pl.Expr = _TRUE,
    *,
    times: pl.Expr = _ONCE,
    once: bool = False,
    rows: pl.Expr = _ROWS,
    width: pl.Expr = _HIDDEN,
    weights: pl.Expr | None = None,
    kind: str | pl.Expr | None = None,
) -> Op:
    """Return a norm; over other widths than the hidden size it has as many weights as its width."""
    own = _HIDDEN * pl.col("norm_weights") if weights is None else weights
    kind = pl.col("norm_kind") if kind is None else kind
    return Op(op, "norm", kind, rows, _NONE, width, of, times=times, once=once, weights=own)


def _expert(op: str, sizes: tuple[pl.Expr, pl.Expr], of: pl.Expr = _IS_MOE) -> Op:
    return _linear(
        op,
        "up/gate/down",
        sizes,
        of,
        rows=_ROUTED_ROWS,
        matrices=_MET_EXPERTS,
        bias="expert_bias",
        is_mixture=True,
    )


# The projections of latent attention are the same in every convention.
_LATENT_PROJECTIONS = [
    _linear("q_b_proj", "qkv mlp", (_Q_RANK, _HEADS * _HEAD_DIM), _IS_RANKED | _IS_COMPRESSED),
    # a chunk of a prompt expands the latents of the tokens before it, too
    _linear(
        "kv_b_proj",
        "qkv mlp",
        (_LATENT, _HEADS * (_PLAIN + _VALUE_DIM)),
        _IS_LATENT,
        when=_EXPANDS,
        rows=_BATCH * _CONTEXT,
    ),
    _linear(
        "q_absorb",
        "qkv mlp",
        (_PLAIN, _LATENT),
        _IS_LATENT,
        when=_ABSORBS,
        rows=_ROWS * _HEADS,
        matrices=_HEADS,
    ),
    _linear(
        "out_absorb",
        "out",
        (_LATENT, _VALUE_DIM),
        _IS_LATENT,
        when=_ABSORBS,
        rows=_ROWS * _HEADS,
        matrices=_HEADS,
    ),
]
_GATE_PROJ = _linear("attn_gate_proj", "qkv mlp", (_HIDDEN, _GATE), _some("attention_gate_size"))
_O_PROJ = _linear("o_proj", "out", (_HEADS * _VALUE_DIM, _HIDDEN), _ATTENDS & ~_IS_COMPRESSED, bias="output_bias")
_DOWN = _linear("down_proj", "up/gate/down", (_INTERMEDIATE, _HIDDEN), _IS_DENSE, bias="mlp_bias")
_ROUTER = replace(
    _linear("router", "router", (_HIDDEN, _ROUTED), _IS_MOE, bias="router_bias"),
    # with the gate of the shared experts, and the numbers that correct the choice
    weights=_HIDDEN * (_ROUTED + _if(_is("shared_gate"), _ONCE))
    + _ROUTED * (_if(_is("router_bias"), _ONCE) + _if(_is("router_correction"), _ONCE)),
)
_LATENT_EXPERTS = [
    _linear(op, "up/gate/down", sizes, _some("expert_latent_size"), rows=_OWN_ROWS, part="experts")
    for op, sizes in (("expert_latent_in_proj", (_HIDDEN, _WIDE)), ("expert_latent_out_proj", (_WIDE, _HIDDEN)))
]
_EXPERT_DOWN = _expert("expert_down_proj", (_EXPERT, _WIDE))


def _shared(op: str, sizes: tuple[pl.Expr, pl.Expr], of: pl.Expr = _IS_SHARED) -> Op:
    return _linear(op, "up/gate/down", sizes, of, rows=_OWN_ROWS, bias="expert_bias", part="shared_experts")


_SHARED_DOWN = _shared("shared_down_proj", (_SHARED, _HIDDEN))
_LM_HEAD = _linear(
    "lm_head",
    "lm_head",
    (pl.col("embedding_size"), _VOCABULARY),
    rows=_LAST_ROWS,
    once=True,
    bias="lm_head_bias",
)
_HAS_NARROW_EMBEDDING = pl.col("embedding_size") != _HIDDEN
_NARROW_EMBEDDING = [
    _linear("embedding_in_proj", "embedding", (pl.col("embedding_size"), _HIDDEN), _HAS_NARROW_EMBEDDING, once=True),
    _linear(
        "embedding_out_proj",
        "lm_head",
        (_HIDDEN, pl.col("embedding_size")),
        _HAS_NARROW_EMBEDDING,
        rows=_LAST_ROWS,
        once=True,
    ),
]


def _score_index(
    of: pl.Expr, attended: pl.Expr, keys: pl.Expr, *, weights: pl.Expr | None = None, suffix: str = ""
) -> Op:
    """Return the scores of an indexer over its keys, of which a query sees `attended` on average."""
    seen = Attention(
        heads=_INDEX_HEADS,
        kv_heads=_ONCE,
        head_dim=_INDEX_DIM,
        value_dim=_NONE,
        kv_dim=_INDEX_DIM,
        attended=attended,
        cached=keys,
    )
    sizes = (_QUERY, _INDEX_DIM, _CONTEXT)
    return Op("index_scores", "attention", "index_scores", *sizes, of, attention=seen, weights=weights, suffix=suffix)


# Compressed attention. The weighted sum over the tokens of a compressed key, and its norm, are not computed; their
# weights are counted with the projections: those of each of its positions, and of the norm.
_COMPRESSED_PRODUCTS = [
    replace(
        _linear("compressor_proj", "qkv mlp", (_HIDDEN, 2 * _TWOFOLD * _HEAD_DIM), _COMPRESSES),
        weights=(2 * _HIDDEN + _RATIO) * _TWOFOLD * _HEAD_DIM + _HEAD_DIM,
    ),
    replace(
        _linear("index_compressor_proj", "qkv mlp", (_HIDDEN, 2 * _TWOFOLD * _INDEX_DIM), _INDEXES_COMPRESSED),
        weights=(2 * _HIDDEN + _RATIO) * _TWOFOLD * _INDEX_DIM + _INDEX_DIM,
    ),
    _score_index(_INDEXES_COMPRESSED, _mean_seen(_sum_keys()), _KEYS, suffix="_compressed"),
]
# Each group of heads is projected by itself, and all of them together to the hidden size.
_COMPRESSED_OUT = [
    _linear(
        "o_a_proj",
        "out",
        (_HEADS * _HEAD_DIM // _OUT_GROUPS, _OUT_RANK),
        _IS_COMPRESSED,
        rows=_ROWS * _OUT_GROUPS,
        matrices=_OUT_GROUPS,
    ),
    _linear("o_b_proj", "out", (_OUT_GROUPS * _OUT_RANK, _HIDDEN), _IS_COMPRESSED),
]

# What the indexer of sparse attention does, in every convention.
_INDEXER = [
    _linear("index_q_proj", "qkv mlp", (_INDEX_INPUT, _INDEX_HEADS * _INDEX_DIM), _INDEXES | _INDEXES_COMPRESSED),
    _linear("index_k_proj", "qkv mlp", (_HIDDEN, _INDEX_DIM), _INDEXES),
    _linear(
        "index_weights_proj",
        "qkv mlp",
        (_HIDDEN, _INDEX_HEADS),
        (_INDEXES | _INDEXES_COMPRESSED) & _is("index_is_weighted"),
    ),
    _score_index(_INDEXES, _SEEN, _CONTEXT, weights=2 * _INDEX_DIM),
]

# Recurrent mixers are the same in every convention: their projections, the convolution before the recurrence, gates.
_CONV_STATE = _CHANNELS * (_KERNEL - 1)
# A prompt writes its last state; a later step, or chunk, reads the state, and writes the next one.
_MOVES = pl.when(_IS_PREFILL & (_BEFORE == 0)).then(1).otherwise(2)
_PROMPT_CHUNK = pl.when(_IS_PREFILL & _has("recurrence_chunk")).then(
    pl.min_horizontal(_QUERY, pl.col("recurrence_chunk"))
)
_RECURRENT = [
    _linear(
        "in_proj",
        "qkv mlp",
        (_HIDDEN, _share(pl.col("recurrent_in_size"))),
        _IS_RECURRENT,
        bias="recurrent_in_bias",
    ),
    Op(
        "conv1d",
        "recurrence",
        "convolution",
        _ROWS,
        _KERNEL,
        _CHANNELS,
        _some("conv_channels"),
        bias=_is("conv_bias"),
        state=State(_MOVES * _CONV_STATE),
        weights=_CHANNELS * (_KERNEL + _if(_is("conv_bias"), _ONCE)),
    ),
    _linear("x_proj", "qkv mlp", (_INNER, _SELECTED), _some("select_size")),
    _linear("dt_proj", "qkv mlp", (_RANK, _INNER), _some("select_rank"), bias="select_bias"),
    _linear("gate_a_proj", "qkv mlp", (_HIDDEN, _GATES), _some("gate_rank")),
    _linear("gate_b_proj", "qkv mlp", (_GATES, _GATE_COLUMNS), _some("gate_rank")),
    Op(
        "block_gate_proj",
        "qkv mlp",
        "linear",
        _ROWS * 2 * _BLOCKS,
        _INNER // _BLOCKS,
        _INNER // _BLOCKS,
        _some("gate_blocks"),
        matrices=2 * _BLOCKS,
        bias=_TRUE,
    ),
    Op(
        "recurrence",
        "recurrence",
        pl.col("recurrence"),
        _ROWS,
        _KEY_DIM,
        _STATE_VALUE_DIM,
        _IS_RECURRENT & _some("state_key_dim"),
        attention=Attention(
            heads=_STATE_HEADS,
            kv_heads=_STATE_KEY_HEADS,
            head_dim=_KEY_DIM,
            value_dim=_STATE_VALUE_DIM,
            kv_dim=_NONE,
            attended=_NONE,
            cached=_NONE,
        ),
        state=State(_MOVES * _STATE_HEADS * _KEY_DIM * _STATE_VALUE_DIM, pl.col("state_bits"), _PROMPT_CHUNK),
    ),
    _linear("out_proj", "out", (_INNER, _HIDDEN), _IS_RECURRENT, bias="recurrent_out_bias"),
]


@dataclass(frozen=True)
class Reach:
    """Layers whose attention sees the same tokens: which layers, in which settings, and what they see."""

    suffix: str
    of: pl.Expr
    when: pl.Expr
    attention: Attention


def _list_reaches(whole: pl.Expr, local: pl.Expr, chunked: pl.Expr, best: pl.Expr, of: Attention) -> list[Reach]:
    """Return each reach of attention, with the tokens that a query attends to on average.

    These are layers that see the whole context, those with a sliding window, with chunks, and with an indexer; latent
    attention is expanded in prefill, and absorbed in decode: there all heads share one latent.
    """
    cached = {"": _CONTEXT, "_local": _REACH_LOCAL, "_chunked": _REACH_CHUNK, "_sparse": _REACH_BEST}
    layers = {
        "": (~_has("sliding_window") & ~_has("attention_chunk") & ~_IS_INDEXED, whole),
        "_local": (_has("sliding_window") & ~_IS_INDEXED, local),
        "_chunked": (_has("attention_chunk"), chunked),
        "_sparse": (_IS_INDEXED, best),
    }
    reaches = []
    for suffix, (which, attended) in layers.items():
        seen = {"attended": attended, "cached": cached[suffix]}
        reaches.append(Reach(suffix, _IS_PLAIN & which, _TRUE, replace(of, **seen)))
        expanded = replace(of, **seen, kv_heads=_HEADS)
        reaches.append(Reach(suffix, _IS_LATENT & which, _EXPANDS, expanded))
        reaches.append(Reach(suffix, _IS_LATENT & which, _ABSORBS, replace(_SHARED_LATENT, **seen)))
    return reaches


_SHARED_LATENT = Attention(kv_heads=_ONCE, head_dim=_LATENT + _ROPE, value_dim=_LATENT)


def _unfused() -> list[Op]:
    """Return both products of attention as eager code runs them: scores in memory, with all that the queries reach.

    That is the whole square of a prompt; candidates see as much as the last of them.
    """
    windowed, last_chunk = pl.min_horizontal(_CONTEXT, _WINDOW), (_CONTEXT - 1) % _CHUNK + 1
    local, chunked, best = (
        pl.when(_IS_PREFILL).then(reach).otherwise(seen)
        for reach, seen in (
            (_REACH_LOCAL, windowed),
            (_REACH_CHUNK, last_chunk),
            (_REACH_BEST, pl.min_horizontal(_CONTEXT, _TOP_K)),
        )
    )
    ops = []
    for reach in _list_reaches(_CONTEXT, local, chunked, best, Attention()):
        of = replace(reach.attention, cached=reach.attention.attended)
        keys, values = (replace(of, kv_dim=size) for size in (of.head_dim, of.value_dim))
        ops += [
            Op("qk", "qk/pv", "qk", _QUERY, of.head_dim, of.attended, reach.of, reach.when, attention=keys),
            Op("pv", "qk/pv", "pv", _QUERY, of.attended, of.value_dim, reach.of, reach.when, attention=values),
        ]
        ops[-2:] = [replace(op, suffix=reach.suffix) for op in ops[-2:]]
    in_decode = windowed + pl.min_horizontal(_KEYS, _TOP_K)
    seen = pl.when(_IS_PREFILL).then(_REACH_LOCAL + _REACH_KEYS).otherwise(in_decode)
    of = Attention(kv_dim=_HEAD_DIM, attended=seen, cached=seen)
    return [
        *ops,
        Op("qk", "qk/pv", "qk", _QUERY, _HEAD_DIM, seen, _IS_COMPRESSED, attention=of, suffix="_compressed"),
        Op("pv", "qk/pv", "pv", _QUERY, seen, _HEAD_DIM, _IS_COMPRESSED, attention=of, suffix="_compressed"),
    ]


def _fused() -> list[Op]:
    """Return flash attention: no scores in memory, and only what is causal of a prompt, a chunk or candidates."""
    ops = []
    for reach in _list_reaches(_SEEN, _SEEN_LOCAL, _SEEN_CHUNK, _SEEN_BEST, Attention()):
        of = reach.attention
        if of.value_dim is _LATENT:  # values are part of the latent, which is read once
            of = replace(of, kv_dim=_LATENT + _ROPE)
        ops.append(
            Op(
                "attention",
                "attention",
                "attention",
                _QUERY,
                of.head_dim,
                _CONTEXT,
                reach.of,
                reach.when,
                attention=of,
                suffix=reach.suffix,
                weights=_if(_is("has_sinks"), _HEADS),
            )
        )
    return [*ops, _fused_compressed()]


def _fused_compressed() -> Op:
    """Return attention to a window and to compressed keys: each is read once, as key and as value."""
    seen = _SEEN_LOCAL + _mean_seen(_sum_keys(_TOP_K))
    return Op(
        "attention",
        "attention",
        "attention",
        _QUERY,
        _HEAD_DIM,
        _CONTEXT,
        _IS_COMPRESSED,
        attention=Attention(kv_dim=_HEAD_DIM, attended=seen, cached=_REACH_LOCAL + _REACH_KEYS),
        weights=_HEADS,
        suffix="_compressed",
    )


_PRODUCTS = [
    _linear("q_proj", "qkv mlp", (_HIDDEN, _HEADS * _HEAD_DIM), _IS_PLAIN | _IS_UNRANKED, bias="qkv_bias"),
    _linear("k_proj", "qkv mlp", (_HIDDEN, _KV_HEADS * _HEAD_DIM), _OWN_KEYS, bias="qkv_bias"),
    _linear("v_proj", "qkv mlp", (_HIDDEN, _KV_HEADS * _VALUE_DIM), _OWN_VALUES, bias="qkv_bias"),
    _linear("q_a_proj", "qkv mlp", (_HIDDEN, _Q_RANK), _IS_RANKED | _IS_COMPRESSED, bias="qkv_bias"),
    _linear("kv_a_proj", "qkv mlp", (_HIDDEN, _LATENT + _ROPE), _OWN_LATENT, bias="qkv_bias"),
    _linear("kv_proj", "qkv mlp", (_HIDDEN, _HEAD_DIM), _IS_COMPRESSED),
    *_LATENT_PROJECTIONS,
    _GATE_PROJ,
    *_INDEXER,
    *_COMPRESSED_PRODUCTS,
    *_unfused(),
    _O_PROJ,
    *_COMPRESSED_OUT,
    *_RECURRENT,
    _linear("gate_proj", "up/gate/down", (_HIDDEN, _INTERMEDIATE), _IS_DENSE & _IS_GATED, bias="mlp_bias"),
    _linear("up_proj", "up/gate/down", (_HIDDEN, _INTERMEDIATE), _IS_DENSE, bias="mlp_bias"),
    _DOWN,
    _ROUTER,
    *_LATENT_EXPERTS,
    _expert("expert_gate_proj", (_WIDE, _EXPERT), _IS_MOE & _EXPERT_IS_GATED),
    _expert("expert_up_proj", (_WIDE, _EXPERT)),
    _EXPERT_DOWN,
    _shared("shared_gate_proj", (_HIDDEN, _SHARED), _IS_SHARED & _EXPERT_IS_GATED),
    _shared("shared_up_proj", (_HIDDEN, _SHARED)),
    _SHARED_DOWN,
    *_NARROW_EMBEDDING,
    _LM_HEAD,
]

_WIDTHS = pl.when(_EXPERT_IS_GATED).then(2).otherwise(1)
_MIXES, _FEEDS = _ATTENDS | _IS_RECURRENT, _IS_DENSE | _IS_MOE


def _all_reduce(op: str, of: pl.Expr, when: pl.Expr = _TRUE) -> Op:
    return _communicate(op, "all_reduce", _ROWS, _HIDDEN, of, (_DEVICES > 1) & when)


def _communicate(op: str, kind: str, rows: pl.Expr, width: pl.Expr, of: pl.Expr, when: pl.Expr) -> Op:
    return Op(op, "communication", kind, rows, _NONE, width, of, when, level="interconnect")


# Experts that are spread: their rows are sent to the devices that hold them, and the results back.
_DISPATCH, _COMBINE = (
    replace(_communicate(op, "all_to_all", _OWN_ROWS, _WIDE, _IS_MOE, _IS_SPREAD), matrices=_COPIES)
    for op in ("expert_dispatch", "expert_combine")
)
_GATHER = _communicate("expert_all_gather", "all_gather", _ROWS, _HIDDEN, _IS_MOE, _IS_SPREAD & (_DEVICES > 1))
_SEND = replace(_communicate("stage_send", "send", _ROWS, _HIDDEN, _TRUE, _STAGES > 1), once=True)


def _elementwise(op: str, kind: str | pl.Expr, rows: pl.Expr, width: pl.Expr, of: pl.Expr = _TRUE) -> Op:
    return Op(op, "elementwise", kind, rows, _NONE, width, of)


_NORMED_HEADS = _HEADS + _if(~_is("shares_kv"), _KV_HEADS)
_ROTATED_HEADS = _HEADS + pl.when(_IS_LATENT).then(1).otherwise(_if(~_is("shares_kv"), _KV_HEADS))
_QK_WEIGHTS = pl.col("qk_norm_weights") * pl.when(pl.col("qk_norm") == "width").then(_NORMED_HEADS).otherwise(
    pl.when(_is("shares_kv")).then(1).otherwise(2)
)
_PER_LAYER = pl.col("per_layer_size")
_EVERY_PER_LAYER = pl.col("per_layer_embedding_size") * pl.col("model_layers")

_LATENT_NORMED = _Q_RANK.fill_null(0) + _if(_OWN_LATENT, _LATENT)

_FIRST = [
    Op(
        "embedding",
        "embedding",
        "embedding",
        _ROWS,
        _NONE,
        pl.col("embedding_size"),
        once=True,
        weights=_VOCABULARY * pl.col("embedding_size") + pl.col("learned_positions") * _HIDDEN,
    ),
    _norm("embedding_norm", pl.col("embedding_norm"), once=True),
    Op(
        "per_layer_embedding",
        "embedding",
        "embedding",
        _ROWS,
        _NONE,
        _EVERY_PER_LAYER,
        _some("per_layer_embedding_size"),
        once=True,
        weights=pl.col("per_layer_vocab_size") * _EVERY_PER_LAYER,
    ),
    _linear(
        "per_layer_model_proj", "embedding", (_HIDDEN, _EVERY_PER_LAYER), _some("per_layer_embedding_size"), once=True
    ),
]
_LAYER = [
    _norm("attn_norm", pl.col("mixer_norms") > 0),
    _linear(
        "qkv_proj",
        "qkv mlp",
        (
            _HIDDEN,
            _HEADS * _HEAD_DIM + _if(_OWN_KEYS, _KV_HEADS * _HEAD_DIM) + _if(_OWN_VALUES, _KV_HEADS * _VALUE_DIM),
        ),
        _IS_PLAIN,
        bias="qkv_bias",
    ),
    replace(
        _linear(
            "qkv_a_proj", "qkv mlp", (_HIDDEN, _Q_RANK + _if(_OWN_LATENT, _LATENT + _ROPE)), _IS_RANKED, bias="qkv_bias"
        ),
    ),
    _linear("q_kv_proj", "qkv mlp", (_HIDDEN, _Q_RANK + _HEAD_DIM), _IS_COMPRESSED),
    _linear("q_proj", "qkv mlp", (_HIDDEN, _HEADS * _HEAD_DIM), _IS_UNRANKED),
    _linear("kv_a_proj", "qkv mlp", (_HIDDEN, _LATENT + _ROPE), _IS_UNRANKED & _OWN_LATENT, bias="qkv_bias"),
    _GATE_PROJ,
    _norm(
        "latent_norm",
        _IS_LATENT,
        kind="rms_norm",
        width=_LATENT_NORMED,
        weights=_LATENT_NORMED,
    ),
    _norm("q_kv_norm", _IS_COMPRESSED, kind="rms_norm", width=_Q_RANK + _HEAD_DIM, weights=_Q_RANK + _HEAD_DIM),
    *_LATENT_PROJECTIONS,
    _norm(
        "qk_norm",
        (pl.col("qk_norm") == "head") | (pl.col("qk_norm") == "width"),
        kind="rms_norm",
        rows=_ROWS * _NORMED_HEADS,
        width=_HEAD_DIM,
        weights=_QK_WEIGHTS * _HEAD_DIM,
    ),
    _norm("q_norm", _IS_COMPRESSED, kind="rms_norm", rows=_ROWS * _HEADS, width=_HEAD_DIM, weights=_ZERO),
    _elementwise("rope", "rope", _ROWS * _ROTATED_HEADS, _ROPE, _is("is_rotary") & (_ROPE > 0)),
    *_INDEXER,
    *_COMPRESSED_PRODUCTS,
    *_fused(),
    # values are rotated keys: the output is rotated back
    _elementwise("out_rope", "rope", _ROWS * _HEADS, _ROPE, _IS_COMPRESSED & (_ROPE > 0)),
    _norm("attn_inner_norm", _is("has_inner_norm"), width=_HEADS * _VALUE_DIM, weights=_HEADS * _VALUE_DIM),
    _O_PROJ,
    *_COMPRESSED_OUT,
    *_RECURRENT[:-1],
    _norm(
        "recurrent_norm",
        _some("recurrent_norm_size"),
        kind="rms_norm",
        width=_INNER,
        weights=pl.col("recurrent_norm_size"),
    ),
    _RECURRENT[-1],
    _all_reduce("attn_all_reduce", _MIXES),
    _elementwise("attn_add", "residual_add", _ROWS, _HIDDEN, _MIXES),
    _norm("mlp_norm", pl.col("feed_forward_norms") > 0),
    _norm(
        "post_norm",
        (pl.col("mixer_norms") > 1) | (pl.col("feed_forward_norms") > 1),
        times=pl.max_horizontal(pl.col("mixer_norms") - 1, 0) + pl.max_horizontal(pl.col("feed_forward_norms") - 1, 0),
    ),
    _linear("gate_up_proj", "up/gate/down", (_HIDDEN, 2 * _INTERMEDIATE), _IS_DENSE & _IS_GATED, bias="mlp_bias"),
    _linear("up_proj", "up/gate/down", (_HIDDEN, _INTERMEDIATE), _IS_DENSE & ~_IS_GATED, bias="mlp_bias"),
    _elementwise("activation", pl.col("activation_kind"), _ROWS, _INTERMEDIATE, _IS_DENSE),
    _norm("mlp_inner_norm", _is("has_mlp_norm"), width=_INTERMEDIATE, weights=_INTERMEDIATE),
    _DOWN,
    _ROUTER,
    *_LATENT_EXPERTS,
    _DISPATCH,
    _expert("expert_gate_up_proj", (_WIDE, _WIDTHS * _EXPERT)),
    _elementwise("expert_activation", pl.col("expert_activation_kind"), _ROUTED_ROWS, _EXPERT, _IS_MOE),
    _EXPERT_DOWN,
    _COMBINE,
    replace(_elementwise("expert_sum", "expert_sum", _OWN_ROWS, _HIDDEN, _IS_MOE), matrices=_CHOSEN),
    _shared("shared_gate_up_proj", (_HIDDEN, _WIDTHS * _SHARED)),
    _elementwise("shared_activation", pl.col("expert_activation_kind"), _OWN_ROWS, _SHARED, _IS_SHARED),
    _SHARED_DOWN,
    _all_reduce("mlp_all_reduce", _FEEDS, ~_IS_SPREAD),
    _all_reduce("mlp_all_reduce", _IS_DENSE, _IS_SPREAD),
    _GATHER,
    _elementwise("mlp_add", "residual_add", _ROWS, _HIDDEN, _FEEDS),
    _linear("per_layer_gate_proj", "up/gate/down", (_HIDDEN, _PER_LAYER), _has("per_layer_size")),
    _linear("per_layer_proj", "up/gate/down", (_PER_LAYER, _HIDDEN), _has("per_layer_size")),
    _norm("per_layer_norm", _has("per_layer_size")),
    _linear("low_rank_in_proj", "up/gate/down", (_HIDDEN, pl.col("low_rank")), _has("low_rank")),
    _linear("low_rank_out_proj", "up/gate/down", (pl.col("low_rank"), _HIDDEN), _has("low_rank")),
]
_LAST = [_norm("final_norm", pl.col("final_norm"), once=True), *_NARROW_EMBEDDING, _LM_HEAD]

_COMPRESSED_SOFTMAX = replace(
    _elementwise("softmax", "softmax", _BATCH * _HEADS * _QUERY, _CONTEXT + _KEYS, _IS_COMPRESSED), suffix="_compressed"
)

CONVENTIONS: dict[str, list[Op]] = {
    # Cai et al. 2024 (arXiv 2401.10774), appendix G: every product on its own, attention unfused and not causal.
    "paper": _PRODUCTS,
    # Yuan et al. 2024 (arXiv 2402.16363), table 1: the same products, with softmax, norms and residual adds.
    "llm-viewer": [
        *_PRODUCTS,
        _elementwise("softmax", "softmax", _BATCH * _HEADS * _QUERY, _CONTEXT, _ATTENDS & ~_IS_COMPRESSED),
        _COMPRESSED_SOFTMAX,
        _norm("attn_norm", _MIXES, kind="norm"),
        _norm("mlp_norm", _FEEDS, kind="norm"),
        _elementwise("attn_add", "add", _ROWS, _HIDDEN, _MIXES),
        _elementwise("mlp_add", "add", _ROWS, _HIDDEN, _FEEDS),
    ],
    # What a serving engine runs: fused products, flash attention, and everything between them.
    "engine": [*_FIRST, *_LAYER, _SEND, *_LAST],
    # One pass of the layers that predict further tokens, each from the hidden state before it and the embedding of a
    # token, with an lm_head after it (DeepSeek-AI 2024, arXiv 2412.19437, section 2.2).
    "draft": [
        replace(_FIRST[0], once=False),
        _linear("draft_in_proj", "up/gate/down", (2 * _HIDDEN, _HIDDEN)),
        *_LAYER,
        *(replace(op, once=False) for op in _LAST),
    ],
}

# Those whose attention leaves out what a mask hides: of candidates, all but their own ancestors.
MASKED = ["engine", "draft"]

# Elements of KV cache that a device holds for one token in one layer, and those of the indexer's keys.
KV_ELEMENTS = (
    pl.when(_is("shares_kv"))
    .then(0)
    .when(_IS_LATENT)
    .then(_LATENT + _ROPE)
    .when(_IS_COMPRESSED)
    .then(_HEAD_DIM)
    .when(_IS_PLAIN)
    .then(_KV_HEADS * (_HEAD_DIM + _VALUE_DIM))
    .otherwise(0)
)
INDEXER_ELEMENTS = _if(_INDEXES, _INDEX_DIM)
# Compressed keys are kept beside those of the window: a fraction of a key for each token, and of an indexer's key.
COMPRESSED_ELEMENTS = _if(_COMPRESSES, _HEAD_DIM / _RATIO)
COMPRESSED_INDEXER_ELEMENTS = _if(_INDEXES_COMPRESSED, _INDEX_DIM / _RATIO)
# Elements of a sequence's state in one layer: that of the recurrence, in its own precision, and what is kept of the
# last tokens in the precision of activations, for the convolution or as they are.
STATE_ELEMENTS = _if(_IS_RECURRENT, _STATE_HEADS * _KEY_DIM * _STATE_VALUE_DIM)
RECENT_ELEMENTS = _if(_some("conv_channels"), _CONV_STATE) + pl.col("last_tokens").fill_null(0) * _HIDDEN

# A tied embedding and lm_head are one matrix; no stage of several holds both.
ONE_EMBEDDING = _if(pl.col("tied_embeddings") | (_STAGES > 1), _VOCABULARY * pl.col("embedding_size"))
# The part of the layers that the largest stage has.
STAGE_LAYERS = (pl.col("model_layers") + _STAGES - 1) // _STAGES
IN_STAGE = STAGE_LAYERS / pl.col("model_layers")


@cache
def weights_held(*, only_active: bool = False) -> tuple[pl.Expr, pl.Expr]:
    """Return the weights that a device holds, or those of them that one token passes through.

    The first are those of the layers of a kind, the second those that a model has once; a tied embedding and lm_head
    are one matrix.
    """
    once = [op for op in CONVENTIONS["engine"] if op.once]
    own = (
        _if(op.of, op.active() if only_active else op.held()).fill_null(0)
        for op in CONVENTIONS["engine"]
        if not op.once
    )
    of_model = (_if(op.of, op.held()).fill_null(0) for op in once)
    layers = pl.sum_horizontal(pl.col("other_parameters") * pl.col("num_layers"), *own)
    return layers, pl.sum_horizontal(pl.col("model_other_parameters") - ONE_EMBEDDING, *of_model)


def round_in_stage(elements: pl.Expr) -> pl.Expr:
    """Return the part of a model's elements that the largest stage has, rounded up; both of one model."""
    layers = pl.col("model_layers").first()
    return (elements * STAGE_LAYERS.first() + layers - 1) // layers


def weights_of_part(part: Part) -> dict[str, tuple[pl.Expr, pl.Expr]]:
    """Return the weights of a part that a device holds: those `in_matrices`, the others, and output `rows`.

    The first of two are those of the layers of a kind, the second those that a model has once.
    """
    ops = [op for op in CONVENTIONS["engine"] if op.part == part]

    def add(of: Callable[[Op], pl.Expr]) -> tuple[pl.Expr, pl.Expr]:
        layers, once = (
            pl.sum_horizontal(_ZERO, *(_if(op.of, of(op)).fill_null(0) for op in ops if op.once == is_once))
            for is_once in (False, True)
        )
        return layers, once

    return {
        "in_matrices": add(Op.held_in_matrices),
        "in_vectors": add(lambda op: op.held() - op.held_in_matrices()),
        "rows": add(Op.held_rows),
    }
