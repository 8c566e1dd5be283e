"""Which ops a model runs at a setting, and their dimensions."""

import hashlib
from dataclasses import dataclass

import polars as pl

_MODEL = ("hidden_size", "intermediate_size", "num_layers", "num_heads", "num_kv_heads", "head_dim", "vocab_size")
_HIDDEN, _INTERMEDIATE, _LAYERS, _HEADS, _KV_HEADS, _HEAD_DIM, _VOCABULARY = (pl.col(name) for name in _MODEL)
_BATCH, _QUERY, _CONTEXT = pl.col("batch_size"), pl.col("query_length"), pl.col("sequence_length")

# Rows of activations: batch * sequence in prefill, batch in decode, batch * candidates in speculative.
_ROWS = _BATCH * _QUERY
# lm_head sees the last token of a prompt only.
_LAST_ROWS = pl.when(pl.col("phase") == "prefill").then(_BATCH).otherwise(_ROWS)

_ONCE = pl.lit(1)
_NONE = pl.lit(None, pl.Int64)

SETTING = ["model_id", "convention", "phase", "batch_size", "sequence_length", "query_length", "tensor_parallel"]


@dataclass(frozen=True)
class Op:
    """One operator: m, k, n of its product, or m rows of n elements, as expressions of model and setting."""

    op: str
    op_group: str
    kind: str
    m: pl.Expr
    k: pl.Expr
    n: pl.Expr
    repeat: pl.Expr = _LAYERS

    def shapes(self, settings: pl.DataFrame) -> pl.DataFrame:
        """Return a row a setting."""
        attends = self.kind in {"qk", "pv"}
        return settings.select(
            *SETTING,
            "precisions",
            op=pl.lit(self.op),
            op_group=pl.lit(self.op_group),
            kind=pl.lit(self.kind),
            m=self.m,
            k=self.k,
            n=self.n,
            heads=_HEADS if attends else _NONE,
            kv_heads=_KV_HEADS if attends else _NONE,
            head_dim=_HEAD_DIM if attends else _NONE,
            repeat=self.repeat.cast(pl.Int64),
        )


_PRODUCTS = [
    Op("q_proj", "qkv mlp", "linear", _ROWS, _HIDDEN, _HEADS * _HEAD_DIM),
    Op("k_proj", "qkv mlp", "linear", _ROWS, _HIDDEN, _KV_HEADS * _HEAD_DIM),
    Op("v_proj", "qkv mlp", "linear", _ROWS, _HIDDEN, _KV_HEADS * _HEAD_DIM),
    Op("qk", "qk/pv", "qk", _QUERY, _HEAD_DIM, _CONTEXT),
    Op("pv", "qk/pv", "pv", _QUERY, _CONTEXT, _HEAD_DIM),
    Op("o_proj", "out", "linear", _ROWS, _HEADS * _HEAD_DIM, _HIDDEN),
    Op("gate_proj", "up/gate/down", "linear", _ROWS, _HIDDEN, _INTERMEDIATE),
    Op("up_proj", "up/gate/down", "linear", _ROWS, _HIDDEN, _INTERMEDIATE),
    Op("down_proj", "up/gate/down", "linear", _ROWS, _INTERMEDIATE, _HIDDEN),
    Op("lm_head", "lm_head", "linear", _LAST_ROWS, _HIDDEN, _VOCABULARY, _ONCE),
]

CONVENTIONS: dict[str, list[Op]] = {
    # Cai et al. 2024 (arXiv 2401.10774), appendix G: every product on its own, attention unfused and not causal.
    "paper": _PRODUCTS,
    # Yuan et al. 2024 (arXiv 2402.16363), table 1: the same products, with softmax, norms and residual adds.
    "llm-viewer": [
        *_PRODUCTS,
        Op("softmax", "elementwise", "softmax", _BATCH * _HEADS * _QUERY, _NONE, _CONTEXT),
        Op("attn_norm", "norm", "norm", _ROWS, _NONE, _HIDDEN),
        Op("mlp_norm", "norm", "norm", _ROWS, _NONE, _HIDDEN),
        Op("attn_add", "elementwise", "add", _ROWS, _NONE, _HIDDEN),
        Op("mlp_add", "elementwise", "add", _ROWS, _NONE, _HIDDEN),
    ],
}


def parameters() -> pl.Expr:
    """Weights of a dense decoder with gated feed-forward layers and no biases.

    Embedding and lm_head (one matrix where they are tied), attention and feed-forward products,
    two norms a layer and one at the end.
    """
    embeddings = _VOCABULARY * _HIDDEN * pl.when("tied_embeddings").then(1).otherwise(2)
    attention = 2 * _HIDDEN * (_HEADS + _KV_HEADS) * _HEAD_DIM
    feed_forward = 3 * _HIDDEN * _INTERMEDIATE
    return embeddings + _LAYERS * (attention + feed_forward + 2 * _HIDDEN) + _HIDDEN


def op_shapes(models: pl.DataFrame, workloads: pl.DataFrame) -> pl.DataFrame:
    """Return a row an op of a model at a setting, with the columns of core.op_shape.

    Beside them stands `precisions`, the list of precisions that the workloads ask for there.

    Parameters
    ----------
    models
        Rows of core.model.
    workloads
        Rows of core.workload; their lists span the settings.
    """
    settings = settings_of(workloads, models["model_id"].to_list()).join(models, on="model_id", how="inner")
    shapes = [
        op.shapes(settings.filter(pl.col("convention") == convention))
        for convention, ops in CONVENTIONS.items()
        for op in ops
    ]
    return with_shape_id(pl.concat(shapes))


def settings_of(workloads: pl.DataFrame, model_ids: list[str]) -> pl.DataFrame:
    """Return a row a setting that any workload asks for, with the precisions asked for there."""
    every_model = pl.lit(model_ids, pl.List(pl.String))
    return (
        workloads.select(
            pl.coalesce("models", every_model).alias("model_id"),
            pl.col("conventions").alias("convention"),
            pl.col("phases").alias("phase"),
            pl.col("batch_sizes").alias("batch_size"),
            pl.col("sequence_lengths").alias("sequence_length"),
            "candidates",
            "tensor_parallel",
            "precisions",
        )
        .explode("model_id")
        .explode("convention")
        .explode("phase")
        .explode("batch_size")
        .explode("sequence_length")
        .explode("tensor_parallel")
        .with_columns(
            query_length=pl.when(pl.col("phase") == "prefill")
            .then(pl.concat_list("sequence_length"))
            .when(pl.col("phase") == "decode")
            .then(pl.lit([1], pl.List(pl.Int64)))
            .otherwise("candidates")
        )
        .explode("query_length")
        .group_by(SETTING, maintain_order=True)
        .agg(pl.col("precisions").explode().unique(maintain_order=True))
    )


def with_shape_id(shapes: pl.DataFrame) -> pl.DataFrame:
    """Put before each row a hash of its setting and op that no version of any library changes."""
    named = ["model_id", "convention", "phase", "op"]
    names = shapes.select(named).unique(maintain_order=True)
    seeds = [int.from_bytes(hashlib.sha256("\n".join(row).encode()).digest()[:8], "big") for row in names.iter_rows()]
    seeded = shapes.join(
        names.with_columns(shape_id=pl.Series(seeds, dtype=pl.UInt64)), on=named, how="left", maintain_order="left"
    )
    identity = pl.col("shape_id")
    for number in ("batch_size", "sequence_length", "query_length", "tensor_parallel"):
        identity = _mixed(identity, pl.col(number).cast(pl.UInt64))
    ordered = ["shape_id", *(name for name in shapes.columns)]
    return seeded.with_columns(shape_id=(identity // 2).cast(pl.Int64)).select(ordered)


def _mixed(state: pl.Expr, number: pl.Expr) -> pl.Expr:
    # One round of a multiply and xor-shift hash, modulo 2^64 (the multiplier is 2^64 / golden ratio).
    product = (state ^ number) * pl.lit(0x9E3779B97F4A7C15, pl.UInt64)
    return product ^ (product // 2**32)
