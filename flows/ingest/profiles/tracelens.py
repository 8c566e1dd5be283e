"""Tables of GEMMs by TraceLens into measurements: `GEMM.csv` of its report on a PyTorch trace.

A row is one op and shape, with the time of its kernels in microseconds. FLOP and bytes are those of `costs.linear`.
"""

import io
import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from flows.ingest.document import format_value
from flows.ingest.limits import UNREADABLE, refuse_too_large, refuse_utf_16
from flows.ingest.profiles.plain_text import clean_name
from flows.ingest.source_file import SourceFile
from flows.intensity.costs import linear
from flows.intensity.terms import BYTES, Dtype
from warehouse.errors import InputError, one_line

_MOST_BYTES = 50_000_000
_LARGEST = 1e12
SIZES: Mapping[str, str] = {"m": "param: M", "k": "param: K", "n": "param: N"}
BATCH, DTYPES, NAME = "param: B", "param: dtype_A_B", "name"
TIMES = ("Kernel Time (µs)_median", "Kernel Time (µs)_mean", "Kernel Time (µs)")
COUNTS = ("name_count", "operation_count", "count")
_NAMES: Mapping[str, Dtype] = {
    "bfloat16": "bf16", "half": "fp16", "float": "fp32", "double": "fp64", "float8_e4m3fn": "fp8",
    "float8_e4m3fnuz": "fp8", "float8_e5m2": "fp8", "float8_e5m2fnuz": "fp8", "signed char": "int8", "bf16": "bf16",
    "fp16": "fp16", "fp32": "fp32", "fp8": "fp8",
}  # fmt: skip


def read_tracelens(source: SourceFile, hardware_id: str, model_id: str | None) -> pl.DataFrame:
    """Return one row per op and shape, with the columns of a measurement file.

    Raises
    ------
    InputError
        A column is missing, a dtype is not known, or a value is no number.
    """
    path = source.path
    refuse_too_large(path, source.size_bytes, _MOST_BYTES)
    content = source.read_bytes()
    refuse_utf_16(content[:64], path)
    try:
        table = pl.read_csv(io.BytesIO(content), infer_schema=False)
    except UNREADABLE as error:
        raise InputError(f"{path}: broken CSV: {one_line(error)[:200]}") from None
    time = next((name for name in TIMES if name in table.columns), None)
    count = next((name for name in COUNTS if name in table.columns), None)
    missing = [name for name in (NAME, *SIZES.values(), DTYPES) if name not in table.columns]
    if missing or time is None:
        lacking = ", ".join([*missing, *([] if time else [TIMES[1]])])
        raise InputError(f"{path}: no column {lacking}; expected a GEMM.csv of TraceLens")
    asked = {**SIZES, "us": time, **({"batch": BATCH} if BATCH in table.columns else {})}
    columns = {name: _read_numbers(table[column], path) for name, column in asked.items()}
    if count:
        columns["repeats"] = _read_numbers(table[count], path)
    rows = pl.DataFrame([series.alias(name) for name, series in columns.items()]).with_columns(
        op=table[NAME].map_elements(clean_name, pl.String).fill_null("gemm"),
        dtypes=table[DTYPES].fill_null(""),
    )
    rows = rows.filter(pl.all_horizontal(pl.col(*SIZES) >= 1), pl.col("us") > 0)
    if rows.is_empty():
        raise InputError(f"{path}: no row with M, N, K and a time; expected a GEMM.csv of TraceLens")
    pairs = {text: _read_pair(text, path) for text in rows["dtypes"].unique().sort()}
    first = pl.col("dtypes").replace_strict({text: pair[0] for text, pair in pairs.items()}, return_dtype=pl.String)
    second = pl.col("dtypes").replace_strict({text: pair[1] for text, pair in pairs.items()}, return_dtype=pl.String)
    batch = pl.col("batch").fill_null(1.0).clip(1) if "batch" in rows.columns else pl.lit(1.0)
    rows = rows.with_columns(dtype=first, m=pl.col("m") * batch, matrices=batch)
    cost = linear(
        *(pl.col(name) for name in SIZES),
        weight=second.replace_strict(BYTES, return_dtype=pl.Float64),
        activation=first.replace_strict(BYTES, return_dtype=pl.Float64),
        matrices=pl.col("matrices"),
    )
    return rows.select(
        "op", "dtype", "matrices", *(pl.col(name).cast(pl.Int64) for name in SIZES),
        *([pl.col("repeats").clip(1).cast(pl.Int64)] if count else []),
        hardware_id=pl.lit(hardware_id), model_id=pl.lit(model_id, pl.String), op_group=pl.lit("custom"),
        kind=pl.lit("linear"), flops=cost.flops, bytes=cost.bytes, latency_s=pl.col("us") / 1e6,
        method=pl.lit("torch profiler, kernel times, by TraceLens"), software=pl.lit("TraceLens"),
        origin=pl.lit(f"{path.name}, table of GEMMs by TraceLens"[:400]),
    )  # fmt: skip


def _read_pair(text: str, path: Path) -> tuple[Dtype, Dtype]:
    """Return the dtypes of both operands, e.g. of ('c10::BFloat16', 'c10::BFloat16')."""
    names = [re.sub(r"^c10::", "", each.strip(" '\"()[]")).lower() for each in text.split(",")]
    names = [name for name in names if name]
    known = [_NAMES[name] for name in names if name in _NAMES]
    if not names or len(known) < len(names[:2]):
        raise InputError(f"{path}: {DTYPES} = {format_value(text)}: expected names such as c10::BFloat16")
    return known[0], known[min(1, len(known) - 1)]


def _read_numbers(values: pl.Series, path: Path) -> pl.Series:
    text = values.str.strip_chars().replace("", None)
    number = text.cast(pl.Float64, strict=False)
    wrong = (number.is_null() | ~number.is_finite() | (number < 0) | (number > _LARGEST)) & text.is_not_null()
    wrong = wrong.fill_null(value=False)
    if wrong.any():
        row = wrong.arg_max() or 0
        where = f"row {row + 1}: {values.name} = {format_value(text[row])}"
        raise InputError(f"{path}: {where}: expected a number, 0 or more")
    return number
