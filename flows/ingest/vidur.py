"""Vidur's profiles of linear layers (`mlp.csv`) into measurements.

Each row of a profile has the times of several layers in milliseconds, at a number of tokens and of
devices that share the model; sizes are those of the whole model. Queries, keys and values are one
product, and so are gate and up.
"""

import io

import polars as pl

from flows.ingest.catalog import SourceFile
from flows.intensity.costs import linear
from warehouse.errors import InputError, one_line

_SIZES = ("n_head", "n_kv_head", "n_embd", "n_expanded_embd", "use_gated_mlp", "num_tokens")
_SHARES = "num_tensor_parallel_workers"
_HIDDEN, _HEADS, _KV_HEADS, _WIDTH = (pl.col(name) for name in ("n_embd", "n_head", "n_kv_head", "n_expanded_embd"))
_T, _TOKENS = pl.col(_SHARES), pl.col("num_tokens")
_GATES = pl.when(pl.col("use_gated_mlp").cast(pl.String).str.to_lowercase().is_in(["true", "1"])).then(2).otherwise(1)
# layer of a profile -> op, its group, and k and n of its product
_LAYERS = {
    "attn_pre_proj": ("qkv_proj", "qkv mlp", _HIDDEN, (_HEADS + 2 * _KV_HEADS) * (_HIDDEN // _HEADS) // _T),
    "attn_post_proj": ("o_proj", "out", _HIDDEN // _T, _HIDDEN),
    "mlp_up_proj": ("gate_up_proj", "up/gate/down", _HIDDEN, _GATES * _WIDTH // _T),
    "mlp_down_proj": ("down_proj", "up/gate/down", _WIDTH // _T, _HIDDEN),
}
_STATISTICS = {"latency_s": "median", "latency_min_s": "min", "latency_std_s": "std"}


def read_vidur(source: SourceFile, hardware_id: str, model_id: str | None) -> pl.DataFrame:
    """Return the products of a profile, with the columns of a measurement file.

    Parameters
    ----------
    source
        The profile.
    hardware_id, model_id
        The device that it was taken on and the model that it is of: the file says neither.

    Raises
    ------
    InputError
        The file is no profile of linear layers.
    """
    path = source.path
    try:
        frame = pl.read_csv(io.BytesIO(source.content()), infer_schema_length=None)
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise InputError(f"{path}: broken CSV: {one_line(error)[:200]}") from None
    wanted = [*_SIZES, _SHARES, *(f"time_stats.{layer}.{name}" for layer in _LAYERS for name in _STATISTICS.values())]
    lacking = [name for name in wanted if name not in frame.columns]
    if lacking:
        raise InputError(f"{path}: no column {lacking[0]}; expected a profile of linear layers by Vidur, mlp.csv")
    sizes = [name for name in (*_SIZES, _SHARES) if name != "use_gated_mlp"]
    try:
        frame = frame.with_columns(pl.col(sizes).cast(pl.Int64))
        layers = [_products(frame, layer) for layer in _LAYERS]
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{path}: expected numbers: {one_line(error)[:200]}") from None
    rows = (
        pl.concat(layers)
        .filter(pl.col("latency_s").is_not_null() & (pl.col("latency_s") > 0))
        .with_columns(
            hardware_id=pl.lit(hardware_id),
            model_id=pl.lit(model_id, pl.String),
            kind=pl.lit("linear"),
            dtype=pl.lit("fp16"),
            method=pl.lit("torch profiler, kernel times, median"),
            software=pl.lit("Vidur"),
            origin=pl.lit(
                f"Vidur's profile of linear layers ({source.path.name}), microsoft/vidur, data/profiling/compute"
            ),
            license=pl.lit("MIT"),
        )
        # two rows of one shape are two profiles of it: their mean
        .group_by(pl.exclude(*_STATISTICS), maintain_order=True)
        .agg(pl.col(*_STATISTICS).mean())
    )
    if rows.is_empty():
        raise InputError(f"{path}: no times; expected a profile of linear layers by Vidur, mlp.csv")
    return rows


def _products(frame: pl.DataFrame, layer: str) -> pl.DataFrame:
    op, op_group, k, n = _LAYERS[layer]
    cost = linear(pl.col("m"), pl.col("k"), pl.col("n"), weight=2, activation=2)
    times = {name: pl.col(f"time_stats.{layer}.{statistic}") / 1e3 for name, statistic in _STATISTICS.items()}
    return frame.select(
        op=pl.lit(op), op_group=pl.lit(op_group), m=_TOKENS, k=k, n=n, tensor_parallel=_T, **times
    ).with_columns(flops=cost.flops.cast(pl.Float64), bytes=cost.bytes.cast(pl.Float64))
