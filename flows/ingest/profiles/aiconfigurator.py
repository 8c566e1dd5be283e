"""AIConfigurator's tables of measured kernels (Parquet) into measurements: products, attention, experts, collectives.

The package `aiconfigurator-core` (NVIDIA, Apache-2.0) has one per device, framework and version, e.g.
`systems/data/h100_sxm/gemm/trtllm/1.2.0/gemm_perf.parquet`. Times are in milliseconds, from a loop over the same
buffers: kernels that fit the L2 cache can lie above the DRAM roof. On NVIDIA's devices the loop is a replayed graph;
NCCL's own benchmark, tables whose `kernel_source` ends in `_eager`, and those of Intel's devices start each kernel.

Prefill attention is causal; `step` is the context before the query tokens. A `window_size` of 0, or none, means that
there is no window. Latent attention (MLA) has the sizes of DeepSeek-V3, which its tables do not state: 128 + 64
elements of a key and 128 of a value for each head of a prompt, and in decode one latent of 512 + 64 for all heads.
A row of experts is one mixture: both of its products, and what moves tokens to experts and back. Its tokens are those
of all devices that share the experts. How unevenly tokens are spread is only a name (`power_law_1.2`): such rows are
read if one device has all experts, and count the weights of each expert that its tokens could reach.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from flows.ingest.document import format_value
from flows.ingest.limits import UNREADABLE, refuse_inflated
from flows.ingest.source_file import SourceFile
from flows.intensity.costs import all_reduce, attention, linear, send
from flows.intensity.terms import BYTES, Dtype
from warehouse.errors import InputError, one_line

_NAMES: dict[str, Any] = {"framework": pl.String, "version": pl.String, "device": pl.String, "kernel_source": pl.String}
_TIMES: dict[str, Any] = {"latency": pl.Float64}


def _name_columns(texts: str, counts: str) -> dict[str, Any]:
    return {**_NAMES, **dict.fromkeys(texts.split(), pl.String), **dict.fromkeys(counts.split(), pl.Int64), **_TIMES}


_PRODUCT = _name_columns("gemm_dtype", "m n k")
_ATTENTION = _name_columns(
    "op_name attn_dtype kv_cache_dtype", "batch_size isl num_heads num_key_value_heads head_dim step"
)
_LATENT = _name_columns("op_name mla_dtype kv_cache_dtype", "batch_size isl num_heads step")
_MIXTURE = _name_columns(
    "moe_dtype distribution", "num_tokens hidden_size inter_size topk num_experts moe_tp_size moe_ep_size"
)
_LIBRARY_COLLECTIVE = _name_columns("op_name nccl_dtype", "num_gpus message_size")
_OWN_COLLECTIVE = _name_columns("op_name allreduce_dtype", "num_gpus message_size")
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
# attn_dtype and mla_dtype -> dtype
_ATTENTIONS: dict[str, Dtype] = {"float16": "fp16", "bfloat16": "bf16", "fp8": "fp8"}
# moe_dtype -> as of products
_MIXTURES: dict[str, tuple[Dtype, Dtype, Dtype]] = {
    **{name: _PRODUCTS[name] for name in ("float16", "bfloat16", "fp8", "fp8_block", "nvfp4")},
    "int4_wo": ("bf16", "int4", "bf16"),
    "w4afp8": ("fp8", "int4", "fp8"),
    "w4a16_mxfp4": ("bf16", "fp4", "bf16"),
    "w4a8_mxfp4_mxfp8": ("fp8", "fp4", "fp8"),
}
# nccl_dtype and allreduce_dtype -> dtype
_COLLECTIVES: dict[str, Dtype] = {"half": "fp16", "float16": "fp16", "bfloat16": "bf16", "int8": "int8"}
# op_name -> kind; the others are skipped, as no model has them
_EXCHANGES = {"all_reduce": "all_reduce", "all_gather": "all_gather", "alltoall": "all_to_all"}
BALANCED = "balanced"  # the distribution of tokens that gives each expert as many
# DeepSeek-AI 2024 (arXiv 2412.19437): elements of a head's key without and with RoPE, of its value, and of the latent
_KEY, _ROPE, _VALUE, _LATENT_SIZE = 128, 64, 128, 512
# name of a device in the tables -> its id in the catalog
_DEVICES = {
    "NVIDIA A100-SXM4-80GB": "a100-80gb-sxm",
    "NVIDIA A100-SXM4-40GB": "a100-40gb-sxm",
    "NVIDIA B200": "b200",
    "NVIDIA B300 SXM6 AC": "b300",
    "NVIDIA GB200": "gb200",
    "NVIDIA GB300": "gb300",
    "NVIDIA H100 80GB HBM3": "h100-sxm",
    "NVIDIA H200": "h200-sxm",
    "NVIDIA L40S": "l40s",
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": "rtx-pro-6000",
    "Intel(R) Arc(TM) Pro B60 Graphics": "arc-pro-b60",
    "Intel(R) Graphics [0xe211]": "arc-pro-b60",
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
    return read_kernels(source, hardware_id).drop("variant")


def read_kernels(source: SourceFile, hardware_id: str) -> pl.LazyFrame:
    """Return what `read_aiconfigurator` does, and `variant`: dtypes, windows and spread as the table names them."""
    table = _find_table(source)
    refuse_inflated(source.path, _scan(source, table), source.size_bytes)
    rows = _scan(source, table)
    for column, names in table.names.items():
        for value in rows.select(column).unique().collect().to_series().sort().to_list():
            if value not in names:
                what = "dtype" if column.endswith("dtype") else column
                raise InputError(f"{source.path}: {what} = {format_value(value)}: expected one of {', '.join(names)}")
    is_eager = pl.col("device").str.starts_with("Intel") | pl.col("kernel_source").str.ends_with("_eager")
    launch = pl.when(is_eager | pl.lit(table.is_eager)).then(pl.lit("eager")).otherwise(pl.lit("graph"))
    return (
        table.select(rows)
        .with_columns(
            pl.col("flops", "bytes").cast(pl.Float64),
            hardware_id=pl.lit(hardware_id),
            latency_s=pl.col("latency") / 1e3,
            launch=launch,
            method=pl.concat_str(
                pl.lit("AIConfigurator's collector, mean over a loop, same buffers: caches warm"),
                pl.col("said"),
            ),
            software=pl.concat_str(["framework", "version", "kernel_source"], separator=" ").str.slice(0, 200),
            device_name="device",
            origin=pl.concat_str(
                pl.lit("NVIDIA AIConfigurator, aiconfigurator-core, "),
                pl.concat_str(["device", "framework", "version"], separator=", "),
                pl.lit(f" ({source.path.name})"),
            ),
            license=pl.lit("Apache-2.0"),
        )
        .drop(*_NAMES, "latency", "said")
    )


def names_device(source: SourceFile) -> bool:
    """Return whether a table has a column for its device; some of old versions have none."""
    return "device" in _read_schema(source)


def find_device(source: SourceFile) -> str | None:
    """Return the id of the device that a table names; None if the device is unknown."""
    return _DEVICES.get(_first_value(source, "device"))


def name_parts(source: SourceFile) -> tuple[str, ...]:
    """Return what distinguishes a table from others of its device: op, framework, version."""
    table = _find_table(source)
    name = table.name
    if "op_name" in table.columns and table.name == "attention":
        name = "prefill" if _is_prompt(source) else "decode"
    elif table.name == "mla":
        name = "mla-prefill" if _is_prompt(source) else "mla-decode"
    return name, _first_value(source, "framework"), _first_value(source, "version")


def _select_products(table: pl.LazyFrame) -> pl.LazyFrame:
    dtype, weight, activation = _find_operands("gemm_dtype", _PRODUCTS)
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
        variant="gemm_dtype",
        said=pl.lit(""),
    )


def _find_operands(column: str, named: dict[str, tuple[Dtype, Dtype, Dtype]]) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Return the dtype of the arithmetic, and bytes of an element of weights and activations."""
    dtype, *operands = (
        pl.col(column).replace_strict({name: dtypes[i] for name, dtypes in named.items()}) for i in range(3)
    )
    weight, activation = (operand.replace_strict(BYTES, return_dtype=pl.Float64) for operand in operands)
    return dtype, weight, activation


def _select_mixtures(table: pl.LazyFrame) -> pl.LazyFrame:
    dtype, weight, activation = _find_operands("moe_dtype", _MIXTURES)
    tokens, width, inner, chosen, experts, sharing, spread = (
        pl.col(name).cast(pl.Float64)
        for name in ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size")
    )
    is_balanced = pl.col("distribution") == BALANCED
    rows, own, inner = tokens * chosen / spread, experts / spread, inner / sharing
    hit = pl.min_horizontal(rows, own)
    # a gate beside the product upwards, unless the kernel's name says that there is none
    upwards = pl.when(pl.col("kernel_source").str.contains("nongated")).then(1).otherwise(2)
    first = linear(rows, width, upwards * inner, weight=weight, activation=activation, matrices=hit)
    second = linear(rows, inner, width, weight=weight, activation=activation, matrices=hit)
    # fewer than one row a device: which device has one is not stated
    return table.filter(is_balanced & (rows >= 1) | (spread == 1)).select(
        *_NAMES,
        "latency",
        m=rows.ceil().cast(pl.Int64),
        k=width.cast(pl.Int64),
        n=inner.ceil().cast(pl.Int64),
        matrices=hit,
        op=pl.lit("mixture"),
        op_group=pl.lit("experts"),
        kind=pl.lit("mixture"),
        dtype=dtype,
        flops=first.flops + second.flops,
        bytes=first.bytes + second.bytes,
        variant=pl.format("{} {}", "moe_dtype", "distribution"),
        said=pl.when(is_balanced)
        .then(pl.lit("; as many tokens for each expert"))
        .otherwise(pl.format("; tokens spread by {}, weights of all experts that they could reach", "distribution")),
    )


def _select_exchanges(table: pl.LazyFrame, column: str) -> pl.LazyFrame:
    dtype = pl.col(column).replace_strict(_COLLECTIVES)
    activation = dtype.replace_strict(BYTES, return_dtype=pl.Float64)
    elements, devices = pl.col("message_size").cast(pl.Float64), pl.col("num_gpus").cast(pl.Float64)
    summed = all_reduce(elements, devices, activation=activation)
    sent = send(elements, (devices - 1) / devices, activation=activation)
    kind = pl.col("op_name").replace_strict(_EXCHANGES, default=None, return_dtype=pl.String)
    is_sum = kind == "all_reduce"
    return table.filter(kind.is_not_null()).select(
        *_NAMES,
        "latency",
        m=pl.lit(1),
        n="message_size",
        tensor_parallel="num_gpus",
        op=kind,
        op_group=pl.lit("exchange"),
        kind=kind,
        dtype=dtype,
        level=pl.lit("interconnect"),
        flops=pl.when(is_sum).then(summed.flops).otherwise(sent.flops),
        bytes=pl.when(is_sum).then(summed.bytes).otherwise(sent.bytes),
        variant=column,
        said=pl.lit(""),
    )


def _select_attention(table: pl.LazyFrame) -> pl.LazyFrame:
    is_prompt = pl.col("op_name") == "context_attention"
    dtype = pl.col("attn_dtype").replace_strict(_ATTENTIONS)
    activation = dtype.replace_strict(BYTES, return_dtype=pl.Float64)
    kv = pl.when(pl.col("kv_cache_dtype").str.contains("8")).then(BYTES["fp8"]).otherwise(BYTES["fp16"])
    q, before, d = (pl.col(name).cast(pl.Float64) for name in ("isl", "step", "head_dim"))
    # a window of 0, or as long as the context, is none
    window = pl.col("window_size").fill_null(0)
    limited = pl.when(window > 0).then(pl.lit(" window")).otherwise(pl.lit(""))
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
        phase=_name_phase(is_prompt),
        sequence_length=context.cast(pl.Int64),
        query_length="isl",
        heads=heads,
        kv_heads=kv_heads,
        dtype=dtype,
        flops=cost.flops,
        bytes=cost.bytes,
        variant=pl.format("{} {}{}", "attn_dtype", "kv_cache_dtype", limited),
        said=pl.lit(""),
    )


def _select_latent_attention(table: pl.LazyFrame) -> pl.LazyFrame:
    dtype = pl.col("mla_dtype").replace_strict(_ATTENTIONS)
    activation = dtype.replace_strict(BYTES, return_dtype=pl.Float64)
    is_prompt = pl.col("op_name") == "mla_context"
    # the keys and values of a prompt are computed from latents just before; in decode, the cache holds latents
    is_short = ~is_prompt & pl.col("kv_cache_dtype").str.contains("8")
    kv = pl.when(is_short).then(BYTES["fp8"]).otherwise(activation)
    q, before, heads = (pl.col(name).cast(pl.Float64) for name in ("isl", "step", "num_heads"))
    of_heads, of_latents = (_KEY + _ROPE, _VALUE, _KEY + _ROPE + _VALUE), (_LATENT_SIZE + _ROPE, _LATENT_SIZE)
    d, value_d, kv_d = (
        pl.when(is_prompt).then(one).otherwise(other)
        for one, other in zip(of_heads, (*of_latents, of_latents[0]), strict=True)
    )
    kv_heads = pl.when(is_prompt).then(pl.col("num_heads")).otherwise(1)
    cost = attention(
        pl.col("batch_size").cast(pl.Float64), q, heads, kv_heads, d,
        value_d=value_d, kv_d=kv_d, attended=before + (q + 1) / 2, cached=before + q, activation=activation, kv=kv,
    )  # fmt: skip
    return table.select(
        *_NAMES,
        "latency",
        "batch_size",
        head_dim=d.cast(pl.Int64),
        op=pl.lit("latent_attention"),
        op_group=pl.lit("attention"),
        kind=pl.lit("attention"),
        phase=_name_phase(is_prompt),
        sequence_length=pl.col("isl") + pl.col("step"),
        query_length="isl",
        heads="num_heads",
        kv_heads=kv_heads.cast(pl.Int64),
        dtype=dtype,
        flops=cost.flops,
        bytes=cost.bytes,
        variant=pl.format("{} {}", "mla_dtype", "kv_cache_dtype"),
        said=pl.lit(""),
    )


def _name_phase(is_prompt: pl.Expr) -> pl.Expr:
    return pl.when(is_prompt).then(pl.lit("prefill")).otherwise(pl.lit("decode"))


@dataclass(frozen=True)
class _Table:
    """A kind of table: what its files are called, what its columns hold, and how rows become measurements."""

    name: str
    file_names: tuple[str, ...]
    columns: dict[str, Any]
    names: dict[str, Any]  # column -> the values that are known
    select: Callable[[pl.LazyFrame], pl.LazyFrame]
    optional: tuple[str, ...] = ()
    is_eager: bool = False


# the column that only this kind has -> the kind
_TABLES = {
    "gemm_dtype": _Table("gemm", ("gemm_perf.parquet",), _PRODUCT, {"gemm_dtype": _PRODUCTS}, _select_products),
    "attn_dtype": _Table(
        "attention",
        ("context_attention_perf.parquet", "generation_attention_perf.parquet"),
        _ATTENTION,
        {"attn_dtype": _ATTENTIONS},
        _select_attention,
        optional=("window_size",),
    ),
    "mla_dtype": _Table(
        "mla",
        ("context_mla_perf.parquet", "generation_mla_perf.parquet"),
        _LATENT,
        {"mla_dtype": _ATTENTIONS, "op_name": ("mla_context", "mla_generation")},
        _select_latent_attention,
    ),
    "moe_dtype": _Table("moe", ("moe_perf.parquet",), _MIXTURE, {"moe_dtype": _MIXTURES}, _select_mixtures),
    "nccl_dtype": _Table(
        "exchange",
        ("nccl_perf.parquet", "oneccl_perf.parquet"),
        _LIBRARY_COLLECTIVE,
        {"nccl_dtype": _COLLECTIVES},
        lambda table: _select_exchanges(table, "nccl_dtype"),
        is_eager=True,
    ),
    "allreduce_dtype": _Table(
        "all-reduce",
        ("custom_allreduce_perf.parquet",),
        _OWN_COLLECTIVE,
        {"allreduce_dtype": _COLLECTIVES, "op_name": ("all_reduce",)},
        lambda table: _select_exchanges(table, "allreduce_dtype"),
    ),
}
TABLES = tuple(name for table in _TABLES.values() for name in table.file_names)


def _is_prompt(source: SourceFile) -> bool:
    return _first_value(source, "op_name") in ("context_attention", "mla_context")


def _first_value(source: SourceFile, column: str) -> str:
    value = _scan(source, _find_table(source)).select(column).head(1).collect()
    if value.is_empty():
        raise InputError(f"{source.path}: no rows; expected one per kernel")
    return str(value.item())


def _find_table(source: SourceFile) -> _Table:
    """Return the kind of a table; refuse other files."""
    given = _read_schema(source)
    table = next((table for column, table in _TABLES.items() if column in given), _TABLES["attn_dtype"])
    # tables of whole modules have the columns of what is in them, and more
    whole = "gemm_type" in given and table.name == "mla"
    missing = [name for name in table.columns if name not in given]
    if missing or whole:
        what = f"no column {missing[0]}" if missing else "column gemm_type: a table of whole modules"
        raise InputError(f"{source.path}: {what}; expected a table of AIConfigurator: {', '.join(TABLES)}")
    return table


def _scan(source: SourceFile, table: _Table) -> pl.LazyFrame:
    """Return the columns of a table, typed."""
    given = _read_schema(source)
    optional = [
        pl.col(name).cast(pl.Int64) if name in given else pl.lit(None, pl.Int64).alias(name) for name in table.optional
    ]
    return pl.scan_parquet(source.stored_at, glob=False).select(
        *(pl.col(name).cast(dtype) for name, dtype in table.columns.items()), *optional
    )


def _read_schema(source: SourceFile) -> pl.Schema:
    try:
        return pl.read_parquet_schema(source.stored_at)  # type: ignore[return-value]
    except UNREADABLE as error:
        raise InputError(
            f"{source.path}: broken Parquet: {one_line(error)[:200]}; expected a table of AIConfigurator"
        ) from None
