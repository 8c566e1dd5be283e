"""Vidur's profiles of linear layers (`mlp.csv`) and of attention (`attention.csv`) into measurements.

A row of a profile has the times of several layers in milliseconds, for a number of tokens and a tensor-parallel
degree; sizes are those of the whole model. QKV is one GEMM, and so is gate and up: in fp16, they run on tensor cores.
Attention is causal prefill of a chunk of a prompt, or decode of one token per sequence, both after the tokens in the
cache; a profile does not say which units run it.
"""

import io

import polars as pl

from flows.ingest.limits import UNREADABLE
from flows.ingest.source_file import SourceFile
from flows.intensity.costs import attention, linear
from flows.intensity.terms import BYTES, Dtype
from warehouse.errors import InputError, one_line

_SIZES = ("n_head", "n_kv_head", "n_embd", "n_expanded_embd", "num_tokens")
_ATTENTION_SIZES = ("n_q_head", "n_kv_head", "n_embd", "batch_size", "prefill_chunk_size", "kv_cache_size")
_DTYPE: Dtype = "fp16"
_SHARES = "num_tensor_parallel_workers"
_HIDDEN, _HEADS, _KV_HEADS, _WIDTH = (pl.col(name) for name in ("n_embd", "n_head", "n_kv_head", "n_expanded_embd"))
_T, _TOKENS = pl.col(_SHARES), pl.col("num_tokens")
_GATES = pl.when(pl.col("use_gated_mlp").is_in(["true", "1"])).then(2).otherwise(1)
# layer of a profile -> op, its group, k, n
_LAYERS = {
    "attn_pre_proj": ("qkv_proj", "qkv mlp", _HIDDEN, (_HEADS + 2 * _KV_HEADS) * (_HIDDEN // _HEADS) // _T),
    "attn_post_proj": ("o_proj", "out", _HIDDEN // _T, _HIDDEN),
    "mlp_up_proj": ("gate_up_proj", "up/gate/down", _HIDDEN, _GATES * _WIDTH // _T),
    "mlp_down_proj": ("down_proj", "up/gate/down", _WIDTH // _T, _HIDDEN),
}
# phase -> layer of an attention profile
_PHASES = {"prefill": "attn_prefill", "decode": "attn_decode"}
_STATISTICS = {"latency_s": "median", "latency_min_s": "min", "latency_std_s": "std"}


def read_vidur(source: SourceFile, hardware_id: str, model_id: str | None) -> pl.DataFrame:
    """Return one row per GEMM or attention kernel of a profile, with the columns of a measurement file.

    Parameters
    ----------
    source
        The profile.
    hardware_id, model_id
        The device and the model, which the file does not name.

    Raises
    ------
    InputError
        The file is not a profile of linear layers or of attention.
    """
    path = source.path
    try:
        frame = pl.read_csv(io.BytesIO(source.read_bytes()), infer_schema_length=None)
    except UNREADABLE as error:
        raise InputError(f"{path}: broken CSV: {one_line(error)[:200]}") from None
    is_attention = "prefill_chunk_size" in frame.columns
    layers = list(_PHASES.values()) if is_attention else list(_LAYERS)
    counts = [*(_ATTENTION_SIZES if is_attention else _SIZES), _SHARES]
    flag = "is_prefill" if is_attention else "use_gated_mlp"
    needed = [*counts, flag, *(f"time_stats.{layer}.{name}" for layer in layers for name in _STATISTICS.values())]
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise InputError(f"{path}: no column {missing[0]}; expected a profile by Vidur, mlp.csv or attention.csv")
    try:
        frame = frame.with_columns(pl.col(counts).cast(pl.Int64), pl.col(flag).cast(pl.String).str.to_lowercase())
        kernels = (
            [_select_attention(frame, phase) for phase in _PHASES]
            if is_attention
            else [_select_products(frame, layer) for layer in _LAYERS]
        )
        times = pl.concat(kernels).with_columns(pl.col(*_STATISTICS).cast(pl.Float64) / 1e3)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(f"{path}: expected numbers: {one_line(error)[:200]}") from None
    rows = (
        times.filter(pl.col("latency_s") > 0)
        .with_columns(
            hardware_id=pl.lit(hardware_id),
            model_id=pl.lit(model_id, pl.String),
            dtype=pl.lit(_DTYPE),
            method=pl.lit("torch profiler, kernel times, median"),
            software=pl.lit("Vidur"),
            origin=pl.lit(f"Vidur's profile ({path.name}), microsoft/vidur, data/profiling/compute"),
            license=pl.lit("MIT"),
        )
        # rows of the same shape are repeated profiles: take their mean
        .group_by(pl.exclude(*_STATISTICS), maintain_order=True)
        .agg(pl.col(*_STATISTICS).mean())
    )
    if rows.is_empty():
        raise InputError(f"{path}: no times; expected a profile by Vidur, mlp.csv or attention.csv")
    return rows


def _select_products(frame: pl.DataFrame, layer: str) -> pl.DataFrame:
    op, op_group, k, n = _LAYERS[layer]
    cost = linear(pl.col("m"), pl.col("k"), pl.col("n"), weight=BYTES[_DTYPE], activation=BYTES[_DTYPE])
    return frame.select(
        op=pl.lit(op), op_group=pl.lit(op_group), kind=pl.lit("linear"), m=_TOKENS, k=k, n=n, tensor_parallel=_T,
        pipe=pl.lit("tensor"), **_time_columns(layer),
    ).with_columns(flops=cost.flops.cast(pl.Float64), bytes=cost.bytes.cast(pl.Float64))  # fmt: skip


def _select_attention(frame: pl.DataFrame, phase: str) -> pl.DataFrame:
    is_prompt = phase == "prefill"
    queries = pl.col("prefill_chunk_size") if is_prompt else pl.lit(1, pl.Int64)
    context, q = pl.col("sequence_length"), pl.col("query_length")
    cost = attention(
        *(pl.col(name) for name in ("batch_size", "query_length", "heads", "kv_heads", "head_dim")),
        value_d=pl.col("head_dim"), kv_d=2 * pl.col("head_dim"),
        # the last token of a chunk sees the whole context, each earlier token one less
        attended=context - (q - 1) / 2, cached=context, activation=BYTES[_DTYPE], kv=BYTES[_DTYPE],
    )  # fmt: skip
    return (
        frame.filter(pl.col("is_prefill").is_in(["true", "1"]) == is_prompt)
        .select(
            op=pl.lit("flash_attention"),
            op_group=pl.lit("attention"),
            kind=pl.lit("attention"),
            phase=pl.lit(phase),
            batch_size="batch_size",
            sequence_length=queries + pl.col("kv_cache_size"),
            query_length=queries,
            heads=pl.col("n_q_head") // _T,
            kv_heads=pl.max_horizontal(pl.col("n_kv_head") // _T, 1),
            head_dim=_HIDDEN // pl.col("n_q_head"),
            tensor_parallel=_T,
            **_time_columns(_PHASES[phase]),
        )
        .with_columns(flops=cost.flops.cast(pl.Float64), bytes=cost.bytes.cast(pl.Float64))
    )


def _time_columns(layer: str) -> dict[str, pl.Expr]:
    return {name: pl.col(f"time_stats.{layer}.{statistic}") for name, statistic in _STATISTICS.items()}
