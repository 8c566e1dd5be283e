"""AIConfigurator's tables of measured kernels (Parquet) into measurements: GEMMs, and attention in both phases.

The package `aiconfigurator-core` (NVIDIA, Apache-2.0) has one per device, framework and version, e.g.
`systems/data/h100_sxm/gemm/trtllm/1.2.0/gemm_perf.parquet`. Times are in milliseconds, from a loop over the same
buffers: kernels that fit the L2 cache can lie above the DRAM roof. Prefill attention is causal; `step` is the context
before the query tokens. A `window_size` of 0, or none, means that there is no window.
"""

from typing import Any

import polars as pl

from flows.ingest.document import format_value
from flows.ingest.limits import UNREADABLE, refuse_inflated
from flows.ingest.source_file import SourceFile
from flows.intensity.costs import attention, linear
from flows.intensity.terms import BYTES, Dtype
from warehouse.errors import InputError, one_line

_GEMM, _CONTEXT, _GENERATION = (
    "gemm_perf.parquet",
    "context_attention_perf.parquet",
    "generation_attention_perf.parquet",
)
TABLES = (_GEMM, _CONTEXT, _GENERATION)

_NAMES: dict[str, Any] = {"framework": pl.String, "version": pl.String, "device": pl.String, "kernel_source": pl.String}
_TIMES: dict[str, Any] = {"latency": pl.Float64}
_PRODUCT: dict[str, Any] = {**_NAMES, "gemm_dtype": pl.String, **dict.fromkeys(("m", "n", "k"), pl.Int64), **_TIMES}
_ATTENTION: dict[str, Any] = {
    **_NAMES,
    **dict.fromkeys(("attn_dtype", "kv_cache_dtype"), pl.String),
    **dict.fromkeys(("batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim", "step"), pl.Int64),
    **_TIMES,
}
# gemm_dtype -> dtypes of the arithmetic, of weights, and of activations
_PRODUCTS: dict[str, tuple[Dtype, Dtype, Dtype]] = {
    "float16": ("fp16", "fp16", "fp16"),
    "bfloat16": ("bf16", "bf16", "bf16"),
    "fp8": ("fp8", "fp8", "fp8"),
    "fp8_block": ("fp8", "fp8", "fp8"),
    "fp8_ootb": ("fp8", "fp8", "fp8"),
    "nvfp4": ("fp4", "fp4", "fp4"),
    "sq": ("int8", "int8", "int8"),
    "int8_wo": ("fp16", "int8", "fp16"),
    "int4_wo": ("fp16", "int4", "fp16"),
}
# attn_dtype -> dtype
_ATTENTIONS: dict[str, Dtype] = {"float16": "fp16", "bfloat16": "bf16", "fp8": "fp8"}
# name of a device in the tables -> its id in the catalog
_DEVICES = {
    "NVIDIA A100-SXM4-80GB": "a100-80gb-sxm",
    "NVIDIA A100-SXM4-40GB": "a100-40gb-sxm",
    "NVIDIA B200": "b200",
    "NVIDIA B300 SXM6 AC": "b300",
    "NVIDIA GB200": "gb200",
    "NVIDIA H100 80GB HBM3": "h100-sxm",
    "NVIDIA H200": "h200-sxm",
    "NVIDIA L40S": "l40s",
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": "rtx-pro-6000",
    "Intel(R) Arc(TM) Pro B60 Graphics": "arc-pro-b60",
}


def read_aiconfigurator(source: SourceFile, hardware_id: str, model_id: str | None) -> pl.LazyFrame:
    """Return one row per kernel of a table, with the columns of a measurement file.

    Parameters
    ----------
    source
        The table.
    hardware_id
        The device, by its id in the catalog.
    model_id
        Not used: the kernels belong to no model.

    Raises
    ------
    InputError
        The file is not one of these tables, or has an unknown dtype.
    """
    del model_id
    is_product = "gemm_dtype" in _read_schema(source)
    refuse_inflated(source.path, _scan(source), source.size_bytes)
    table, names = _scan(source), _PRODUCTS if is_product else _ATTENTIONS
    dtypes = table.select("gemm_dtype" if is_product else "attn_dtype").unique().collect().to_series().to_list()
    for dtype in dtypes:
        if dtype not in names:
            raise InputError(f"{source.path}: dtype = {format_value(dtype)}: expected one of {', '.join(names)}")
    kernels = _select_products(table) if is_product else _select_attention(table, _is_prompt(source))
    return kernels.with_columns(
        pl.col("flops", "bytes").cast(pl.Float64),
        hardware_id=pl.lit(hardware_id),
        latency_s=pl.col("latency") / 1e3,
        method=pl.lit("AIConfigurator's collector, mean over a loop, same buffers: caches warm"),
        software=pl.concat_str(["framework", "version", "kernel_source"], separator=" ").str.slice(0, 200),
        device_name="device",
        origin=pl.concat_str(
            pl.lit("NVIDIA AIConfigurator, aiconfigurator-core, "),
            pl.concat_str(["device", "framework", "version"], separator=", "),
            pl.lit(f" ({source.path.name})"),
        ),
        license=pl.lit("Apache-2.0"),
    ).drop(*_NAMES, "latency")


def find_device(source: SourceFile) -> str | None:
    """Return the id of the device that a table names; None if the device is unknown."""
    return _DEVICES.get(_first_value(source, "device"))


def name_parts(source: SourceFile) -> tuple[str, ...]:
    """Return what distinguishes a table from others of its device: op, framework, version."""
    kind = "gemm" if "gemm_dtype" in _read_schema(source) else "prefill" if _is_prompt(source) else "decode"
    return kind, _first_value(source, "framework"), _first_value(source, "version")


def _select_products(table: pl.LazyFrame) -> pl.LazyFrame:
    dtype, *operands = (
        pl.col("gemm_dtype").replace_strict({name: dtypes[i] for name, dtypes in _PRODUCTS.items()}) for i in range(3)
    )
    weight, activation = (operand.replace_strict(BYTES, return_dtype=pl.Float64) for operand in operands)
    m, k, n = (pl.col(name).cast(pl.Float64) for name in "mkn")
    cost = linear(m, k, n, weight=weight, activation=activation)
    return table.select(
        *_NAMES,
        "latency",
        *"mkn",
        op=pl.lit("gemm"),
        op_group=pl.lit("products"),
        kind=pl.lit("linear"),
        dtype=dtype,
        flops=cost.flops,
        bytes=cost.bytes,
    )


def _select_attention(table: pl.LazyFrame, is_prompt: bool) -> pl.LazyFrame:
    dtype = pl.col("attn_dtype").replace_strict(_ATTENTIONS)
    activation = dtype.replace_strict(BYTES, return_dtype=pl.Float64)
    kv = pl.when(pl.col("kv_cache_dtype").str.contains("8")).then(BYTES["fp8"]).otherwise(BYTES["fp16"])
    q, before, d = (pl.col(name).cast(pl.Float64) for name in ("isl", "step", "head_dim"))
    # a window of 0, or as long as the context, is none
    window = pl.col("window_size").fill_null(0)
    context = q + before
    seen = pl.when(window > 0).then(pl.min_horizontal(window, context)).otherwise(context)
    # query token i sees `before` + i tokens, but at most `seen`: the last `full` tokens see all of them
    full = pl.min_horizontal(q, context - seen + 1)
    growing = q - full
    attended = (full * seen + growing * (seen - 1) - growing * (growing - 1) / 2) / q
    heads, kv_heads = pl.col("num_heads"), pl.col("num_key_value_heads")
    kv_heads = pl.when(kv_heads > 0).then(kv_heads).otherwise(heads)
    # tokens that at least one query token sees
    cached = pl.min_horizontal(context, seen + q - 1)
    cost = attention(
        pl.col("batch_size").cast(pl.Float64), q, heads, kv_heads, d,
        value_d=d, kv_d=2 * d, attended=attended, cached=cached, activation=activation, kv=kv,
    )  # fmt: skip
    return table.select(
        *_NAMES,
        "latency",
        "batch_size",
        "head_dim",
        op=pl.lit("flash_attention"),
        op_group=pl.lit("attention"),
        kind=pl.lit("attention"),
        phase=pl.lit("prefill" if is_prompt else "decode"),
        sequence_length=context.cast(pl.Int64),
        query_length="isl",
        heads=heads,
        kv_heads=kv_heads,
        dtype=dtype,
        flops=cost.flops,
        bytes=cost.bytes,
    )


def _is_prompt(source: SourceFile) -> bool:
    return _first_value(source, "op_name") == "context_attention"


def _first_value(source: SourceFile, column: str) -> str:
    value = _scan(source).select(column).head(1).collect()
    if value.is_empty():
        raise InputError(f"{source.path}: no rows; expected one per kernel")
    return str(value.item())


def _scan(source: SourceFile) -> pl.LazyFrame:
    """Return the columns of a table, typed; refuse other files."""
    given = _read_schema(source)
    needed = _PRODUCT if "gemm_dtype" in given else {**_ATTENTION, "op_name": pl.String}
    missing = [name for name in needed if name not in given]
    if missing:
        raise InputError(
            f"{source.path}: no column {missing[0]}; expected a table of AIConfigurator: {', '.join(TABLES)}"
        )
    optional = (
        []
        if "gemm_dtype" in given
        else [
            pl.col("window_size").cast(pl.Int64)
            if "window_size" in given
            else pl.lit(None, pl.Int64).alias("window_size")
        ]
    )
    return pl.scan_parquet(source.stored_at, glob=False).select(
        *(pl.col(name).cast(dtype) for name, dtype in needed.items()), *optional
    )


def _read_schema(source: SourceFile) -> pl.Schema:
    try:
        return pl.read_parquet_schema(source.stored_at)  # type: ignore[return-value]
    except UNREADABLE as error:
        raise InputError(
            f"{source.path}: broken Parquet: {one_line(error)[:200]}; expected a table of AIConfigurator"
        ) from None
