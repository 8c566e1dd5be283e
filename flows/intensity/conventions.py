"""The ops of each convention, and their dimensions as expressions of model and setting.

A row is one device's share of an op: with tensor parallelism of t, heads and widths are split t ways
(rounded up), keys and values are replicated if there are fewer of them than devices, and norms,
routers and latent projections are run by each device in full.
"""

from dataclasses import dataclass, field, replace

import polars as pl

_BATCH, _QUERY, _CONTEXT = pl.col("batch_size"), pl.col("query_length"), pl.col("sequence_length")
_DEVICES, _HIDDEN, _LAYERS = pl.col("tensor_parallel"), pl.col("hidden_size"), pl.col("num_layers")
_MOE_LAYERS, _LOCAL_LAYERS, _WINDOW = pl.col("num_moe_layers"), pl.col("num_local_layers"), pl.col("sliding_window")
_IS_PREFILL = pl.col("phase") == "prefill"

_ONCE, _ZERO, _NONE = pl.lit(1), pl.lit(0), pl.lit(None, pl.Int64)


def _share(size: pl.Expr) -> pl.Expr:
    """Return the largest share that a device holds of something that is split."""
    return (size + _DEVICES - 1) // _DEVICES


def _if(condition: pl.Expr, repeat: pl.Expr) -> pl.Expr:
    return pl.when(condition).then(repeat).otherwise(0)


def _has(column: str) -> pl.Expr:
    return pl.col(column).is_not_null()


_HEADS, _KV_HEADS, _INTERMEDIATE = (_share(pl.col(name)) for name in ("num_heads", "num_kv_heads", "intermediate_size"))
_VOCABULARY, _EXPERT, _SHARED = (
    _share(pl.col(name)) for name in ("vocab_size", "expert_intermediate_size", "shared_intermediate_size")
)
_HEAD_DIM, _VALUE_DIM, _ROPE = pl.col("head_dim"), pl.col("value_head_dim"), pl.col("rope_head_dim")

# Latent attention: ranks of the latents, and the part of a head that is not rotated.
_Q_RANK, _LATENT = pl.col("q_lora_rank"), pl.col("kv_lora_rank")
_PLAIN = _HEAD_DIM - _ROPE
_IS_LATENT = _has("kv_lora_rank")
# In decode the projection of keys and values is absorbed into queries and output: all heads share the latent.
_IS_ABSORBED = _IS_LATENT & ~_IS_PREFILL

_EXPERTS, _CHOSEN = pl.col("num_experts"), pl.col("experts_per_token")
_DENSE_LAYERS = _LAYERS - _MOE_LAYERS
_IS_GATED = pl.col("is_gated")

# Rows of activations: batch * sequence in prefill, batch in decode, batch * candidates in speculative.
_ROWS = _BATCH * _QUERY
# lm_head sees the last token of a prompt only.
_LAST_ROWS = pl.when(_IS_PREFILL).then(_BATCH).otherwise(_ROWS)
_ROUTED_ROWS = _ROWS * _CHOSEN
# Distinct experts that T tokens are expected to hit, E (1 - (1 - k/E)^T), if each chooses k of E uniformly.
_MET_EXPERTS = _EXPERTS * (1 - (1 - _CHOSEN / _EXPERTS).pow(_ROWS))

_WINDOWED = pl.min_horizontal(_CONTEXT, _WINDOW)
# The mean over i = 1 ... s of min(i, w): the tokens that a query of a causal prompt sees.
_SEEN = (_WINDOWED * (_WINDOWED + 1) / 2 + (_CONTEXT - _WINDOWED) * _WINDOWED) / _CONTEXT

SETTING = ["model_id", "convention", "phase", "batch_size", "sequence_length", "query_length", "tensor_parallel"]


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
class Op:
    """One operator: m, k, n of its product, or m rows of n elements, as expressions of model and setting.

    It runs `repeat` times in a step; a model that lacks it repeats it zero times. `weights` are the
    elements that it holds (not: reads) on a device, by default those of its matrices and its bias.
    """

    op: str
    op_group: str
    kind: str | pl.Expr
    m: pl.Expr
    k: pl.Expr
    n: pl.Expr
    repeat: pl.Expr = _LAYERS
    matrices: pl.Expr = _ONCE
    is_mixture: bool = False
    bias: pl.Expr = field(default_factory=lambda: pl.lit(value=False))
    attention: Attention | None = None
    level: str = "dram"
    weights: pl.Expr | None = None

    def dimensions(self) -> dict[str, pl.Expr]:
        """Return the columns of core.op_shape besides its key and the setting."""
        seen = self.attention
        return {
            "op": pl.lit(self.op),
            "op_group": pl.lit(self.op_group),
            "kind": pl.lit(self.kind) if isinstance(self.kind, str) else self.kind,
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
            "experts": _EXPERTS if self.is_mixture else _NONE,
            "has_bias": self.bias,
            "level": pl.lit(self.level),
            "repeat": self.repeat.cast(pl.Int64),
        }

    def shapes(self, settings: pl.DataFrame) -> pl.DataFrame:
        """Return one row per setting at which the op runs."""
        return settings.filter(self.repeat > 0).select(*SETTING, "precisions", **self.dimensions())

    def held(self) -> pl.Expr:
        """Return the weights of the op that a device holds, in all layers."""
        own = self.weights
        if own is None:
            if not isinstance(self.kind, str) or self.kind != "linear":
                return _ZERO
            count = _EXPERTS if self.is_mixture else self.matrices
            own = count * (self.k * self.n + pl.when(self.bias).then(self.n).otherwise(0))
        return pl.when(self.repeat > 0).then(own * self.repeat).otherwise(0)

    def active(self) -> pl.Expr:
        """Return the weights of the op that one token passes through."""
        return self.held() * _CHOSEN // _EXPERTS if self.is_mixture else self.held()


def _linear(
    op: str,
    op_group: str,
    sizes: tuple[pl.Expr, pl.Expr],
    *,
    rows: pl.Expr = _ROWS,
    repeat: pl.Expr = _LAYERS,
    matrices: pl.Expr = _ONCE,
    bias: str | None = None,
    is_mixture: bool = False,
) -> Op:
    has_bias = pl.col(bias) if bias else pl.lit(value=False)
    return Op(op, op_group, "linear", rows, *sizes, repeat, matrices, is_mixture, has_bias)


def _norm(op: str, repeat: pl.Expr, kind: str | pl.Expr | None = None) -> Op:
    kind = pl.col("norm_kind") if kind is None else kind
    weights = _HIDDEN * pl.when(pl.col("norm_kind") == "layer_norm").then(2).otherwise(1)
    return Op(op, "norm", kind, _ROWS, _NONE, _HIDDEN, repeat, weights=weights)


def _expert(op: str, sizes: tuple[pl.Expr, pl.Expr], repeat: pl.Expr = _MOE_LAYERS) -> Op:
    return _linear(
        op,
        "up/gate/down",
        sizes,
        rows=_ROUTED_ROWS,
        repeat=repeat,
        matrices=_MET_EXPERTS,
        bias="mlp_bias",
        is_mixture=True,
    )


_NORMS = pl.col("norms_per_layer")
_SHARED_LAYERS = _if(_has("shared_intermediate_size"), _MOE_LAYERS)
_GATED_DENSE, _PLAIN_DENSE = _if(_IS_GATED, _DENSE_LAYERS), _if(~_IS_GATED, _DENSE_LAYERS)
_GATED_MOE = _if(_IS_GATED, _MOE_LAYERS)
_PLAIN_LAYERS, _LATENT_LAYERS = _if(~_IS_LATENT, _LAYERS), _if(_IS_LATENT, _LAYERS)
_RANKED_LAYERS, _UNRANKED_LAYERS = _if(_has("q_lora_rank"), _LAYERS), _if(~_has("q_lora_rank"), _LAYERS)
_EXPANDED_LAYERS, _ABSORBED_LAYERS = _if(_IS_LATENT & _IS_PREFILL, _LAYERS), _if(_IS_ABSORBED, _LAYERS)

# The projections of latent attention are the same in every convention.
_LATENT_PROJECTIONS = [
    _linear("q_b_proj", "qkv mlp", (_Q_RANK, _HEADS * _HEAD_DIM), repeat=_RANKED_LAYERS),
    _linear(
        "kv_b_proj",
        "qkv mlp",
        (_LATENT, _HEADS * (_PLAIN + _VALUE_DIM)),
        repeat=_EXPANDED_LAYERS,
    ),
    _linear(
        "q_absorb",
        "qkv mlp",
        (_PLAIN, _LATENT),
        rows=_ROWS * _HEADS,
        repeat=_ABSORBED_LAYERS,
        matrices=_HEADS,
    ),
    _linear(
        "out_absorb",
        "out",
        (_LATENT, _VALUE_DIM),
        rows=_ROWS * _HEADS,
        repeat=_ABSORBED_LAYERS,
        matrices=_HEADS,
    ),
]
_O_PROJ = _linear("o_proj", "out", (_HEADS * _VALUE_DIM, _HIDDEN), bias="output_bias")
_DOWN = _linear("down_proj", "up/gate/down", (_INTERMEDIATE, _HIDDEN), repeat=_DENSE_LAYERS, bias="mlp_bias")
_ROUTER = _linear("router", "router", (_HIDDEN, _EXPERTS), repeat=_MOE_LAYERS, bias="router_bias")
_EXPERT_DOWN = _expert("expert_down_proj", (_EXPERT, _HIDDEN))
_SHARED_DOWN = _linear("shared_down_proj", "up/gate/down", (_SHARED, _HIDDEN), repeat=_SHARED_LAYERS)
_LM_HEAD = _linear("lm_head", "lm_head", (_HIDDEN, _VOCABULARY), rows=_LAST_ROWS, repeat=_ONCE)


def _by_reach(plain: Attention, local: Attention, absorbed: Attention) -> list[tuple[str, pl.Expr, Attention]]:
    """Return suffix, repeat and sizes of an attention op for each reach.

    These are layers that see the whole context, layers with a sliding window, and layers whose projection
    of keys and values is absorbed: there all heads share one latent.
    """
    return [
        ("", _if(~_IS_ABSORBED, _LAYERS - _LOCAL_LAYERS), plain),
        ("_local", _if(~_IS_ABSORBED, _LOCAL_LAYERS), local),
        ("", _if(_IS_ABSORBED, _LAYERS), absorbed),
    ]


# in prefill, latent attention is expanded: each head has its own keys and values
_EXPANDED = Attention(kv_heads=pl.when(_IS_LATENT).then(_HEADS).otherwise(_KV_HEADS))
_SHARED_LATENT = Attention(kv_heads=_ONCE, head_dim=_LATENT + _ROPE, value_dim=_LATENT)


def _unfused() -> list[Op]:
    """Return both products of attention as eager code runs them: scores in memory, the whole square of a prompt."""
    seen = pl.when(_IS_PREFILL).then(_CONTEXT).otherwise(_WINDOWED)
    reaches = _by_reach(_EXPANDED, replace(_EXPANDED, attended=seen, cached=seen), _SHARED_LATENT)
    ops = []
    for suffix, repeat, of in reaches:
        keys, values = (replace(of, kv_dim=size) for size in (of.head_dim, of.value_dim))
        ops += [
            Op(f"qk{suffix}", "qk/pv", "qk", _QUERY, of.head_dim, of.attended, repeat, attention=keys),
            Op(f"pv{suffix}", "qk/pv", "pv", _QUERY, of.attended, of.value_dim, repeat, attention=values),
        ]
    return ops


def _fused() -> list[Op]:
    """Return flash attention: no scores in memory, and only the causal part of a prompt."""
    causal = pl.when(_IS_PREFILL).then((_CONTEXT + 1) / 2).otherwise(_CONTEXT)
    local = pl.when(_IS_PREFILL).then(_SEEN).otherwise(_WINDOWED)
    cached = pl.when(_IS_PREFILL).then(_CONTEXT).otherwise(_WINDOWED)
    reaches = _by_reach(
        replace(_EXPANDED, attended=causal),
        replace(_EXPANDED, attended=local, cached=cached),
        replace(_SHARED_LATENT, kv_dim=_LATENT + _ROPE),  # values are part of the latent, which is read once
    )
    return [
        Op(f"attention{suffix}", "attention", "attention", _QUERY, of.head_dim, _CONTEXT, repeat, attention=of)
        for suffix, repeat, of in reaches
    ]


_PRODUCTS = [
    _linear("q_proj", "qkv mlp", (_HIDDEN, _HEADS * _HEAD_DIM), repeat=_UNRANKED_LAYERS, bias="qkv_bias"),
    _linear("k_proj", "qkv mlp", (_HIDDEN, _KV_HEADS * _HEAD_DIM), repeat=_PLAIN_LAYERS, bias="qkv_bias"),
    _linear("v_proj", "qkv mlp", (_HIDDEN, _KV_HEADS * _VALUE_DIM), repeat=_PLAIN_LAYERS, bias="qkv_bias"),
    _linear("q_a_proj", "qkv mlp", (_HIDDEN, _Q_RANK), repeat=_RANKED_LAYERS),
    _linear("kv_a_proj", "qkv mlp", (_HIDDEN, _LATENT + _ROPE), repeat=_LATENT_LAYERS),
    *_LATENT_PROJECTIONS,
    *_unfused(),
    _O_PROJ,
    _linear("gate_proj", "up/gate/down", (_HIDDEN, _INTERMEDIATE), repeat=_GATED_DENSE, bias="mlp_bias"),
    _linear("up_proj", "up/gate/down", (_HIDDEN, _INTERMEDIATE), repeat=_DENSE_LAYERS, bias="mlp_bias"),
    _DOWN,
    _ROUTER,
    _expert("expert_gate_proj", (_HIDDEN, _EXPERT), _GATED_MOE),
    _expert("expert_up_proj", (_HIDDEN, _EXPERT)),
    _EXPERT_DOWN,
    _linear("shared_gate_proj", "up/gate/down", (_HIDDEN, _SHARED), repeat=_if(_IS_GATED, _SHARED_LAYERS)),
    _linear("shared_up_proj", "up/gate/down", (_HIDDEN, _SHARED), repeat=_SHARED_LAYERS),
    _SHARED_DOWN,
    _LM_HEAD,
]

_WIDTHS = pl.when(_IS_GATED).then(2).otherwise(1)
_REDUCED = _if(_DEVICES > 1, _LAYERS)


def _all_reduce(op: str) -> Op:
    return Op(op, "communication", "all_reduce", _ROWS, _NONE, _HIDDEN, _REDUCED, level="interconnect")


def _elementwise(op: str, kind: str | pl.Expr, rows: pl.Expr, width: pl.Expr, repeat: pl.Expr = _LAYERS) -> Op:
    return Op(op, "elementwise", kind, rows, _NONE, width, repeat)


_ENGINE = [
    Op("embedding", "embedding", "embedding", _ROWS, _NONE, _HIDDEN, _ONCE, weights=_VOCABULARY * _HIDDEN),
    _norm("attn_norm", _LAYERS),
    _linear(
        "qkv_proj",
        "qkv mlp",
        (_HIDDEN, _HEADS * _HEAD_DIM + _KV_HEADS * (_HEAD_DIM + _VALUE_DIM)),
        repeat=_PLAIN_LAYERS,
        bias="qkv_bias",
    ),
    _linear(
        "qkv_a_proj",
        "qkv mlp",
        (_HIDDEN, _Q_RANK + _LATENT + _ROPE),
        repeat=_RANKED_LAYERS,
    ),
    _linear("q_proj", "qkv mlp", (_HIDDEN, _HEADS * _HEAD_DIM), repeat=_if(_IS_LATENT, _UNRANKED_LAYERS)),
    _linear("kv_a_proj", "qkv mlp", (_HIDDEN, _LATENT + _ROPE), repeat=_if(_IS_LATENT, _UNRANKED_LAYERS)),
    Op(
        "latent_norm",
        "norm",
        "rms_norm",
        _ROWS,
        _NONE,
        _Q_RANK.fill_null(0) + _LATENT,
        _LATENT_LAYERS,
        weights=_Q_RANK.fill_null(0) + _LATENT,
    ),
    *_LATENT_PROJECTIONS,
    Op(
        "qk_norm",
        "norm",
        "rms_norm",
        _ROWS * (_HEADS + _KV_HEADS),
        _NONE,
        _HEAD_DIM,
        _if(pl.col("has_qk_norm"), _LAYERS),
        weights=2 * _HEAD_DIM,
    ),
    _elementwise(
        "rope",
        "rope",
        _ROWS * (_HEADS + pl.when(_IS_LATENT).then(1).otherwise(_KV_HEADS)),
        _ROPE,
        _if(_ROPE > 0, _LAYERS),
    ),
    *_fused(),
    _O_PROJ,
    _all_reduce("attn_all_reduce"),
    _elementwise("attn_add", "residual_add", _ROWS, _HIDDEN),
    _norm("mlp_norm", pl.min_horizontal(_NORMS - 1, 1) * _LAYERS),
    _norm("post_norm", (_NORMS - 2) * _LAYERS),
    _linear("gate_up_proj", "up/gate/down", (_HIDDEN, 2 * _INTERMEDIATE), repeat=_GATED_DENSE, bias="mlp_bias"),
    _linear("up_proj", "up/gate/down", (_HIDDEN, _INTERMEDIATE), repeat=_PLAIN_DENSE, bias="mlp_bias"),
    _elementwise("activation", pl.col("activation_kind"), _ROWS, _INTERMEDIATE, _DENSE_LAYERS),
    _DOWN,
    _ROUTER,
    _expert("expert_gate_up_proj", (_HIDDEN, _WIDTHS * _EXPERT)),
    _elementwise("expert_activation", pl.col("activation_kind"), _ROUTED_ROWS, _EXPERT, _MOE_LAYERS),
    _EXPERT_DOWN,
    Op("expert_sum", "elementwise", "expert_sum", _ROWS, _NONE, _HIDDEN, _MOE_LAYERS, matrices=_CHOSEN),
    _linear("shared_gate_up_proj", "up/gate/down", (_HIDDEN, _WIDTHS * _SHARED), repeat=_SHARED_LAYERS),
    _elementwise("shared_activation", pl.col("activation_kind"), _ROWS, _SHARED, _SHARED_LAYERS),
    _SHARED_DOWN,
    _all_reduce("mlp_all_reduce"),
    _elementwise("mlp_add", "residual_add", _ROWS, _HIDDEN),
    _norm("final_norm", _ONCE),
    _LM_HEAD,
]

CONVENTIONS: dict[str, list[Op]] = {
    # Cai et al. 2024 (arXiv 2401.10774), appendix G: every product on its own, attention unfused and not causal.
    "paper": _PRODUCTS,
    # Yuan et al. 2024 (arXiv 2402.16363), table 1: the same products, with softmax, norms and residual adds.
    "llm-viewer": [
        *_PRODUCTS,
        _elementwise("softmax", "softmax", _BATCH * _HEADS * _QUERY, _CONTEXT),
        _norm("attn_norm", _LAYERS, "norm"),
        _norm("mlp_norm", _LAYERS, "norm"),
        _elementwise("attn_add", "add", _ROWS, _HIDDEN),
        _elementwise("mlp_add", "add", _ROWS, _HIDDEN),
    ],
    # What a serving engine runs: fused products, flash attention, and everything between them.
    "engine": _ENGINE,
}

# Elements of KV cache that a device holds for one token in one layer.
KV_ELEMENTS_PER_LAYER = pl.when(_IS_LATENT).then(_LATENT + _ROPE).otherwise(_KV_HEADS * (_HEAD_DIM + _VALUE_DIM))


def weights_held(*, only_active: bool = False) -> pl.Expr:
    """Return the weights that a device holds, or those of them that one token passes through.

    A tied embedding and lm_head are one matrix.
    """
    tied = pl.when("tied_embeddings").then(_VOCABULARY * _HIDDEN).otherwise(0)
    of_ops = (op.active() if only_active else op.held() for op in _ENGINE)
    return pl.sum_horizontal(pl.col("other_parameters") - tied, *of_ops)
