"""What measurement files may leave out: work that follows from a shape, and times in other units than seconds."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from flows.ingest.document import format_value
from flows.intensity.costs import linear
from flows.intensity.terms import BYTES
from warehouse.errors import InputError

# other names of the column latency_s -> its unit in seconds
TIMES: Mapping[str, float] = {
    "time_s": 1.0,
    "latency_ms": 1e-3,
    "time_ms": 1e-3,
    "ms": 1e-3,
    "latency_us": 1e-6,
    "time_us": 1e-6,
    "us": 1e-6,
    "latency_ns": 1e-9,
    "time_ns": 1e-9,
}
# what a time can follow from -> its unit in FLOP/s
RATES: Mapping[str, float] = {"flops_per_s": 1.0, "gflops": 1e9, "tflops": 1e12}
# what frameworks call dtypes
OTHER_DTYPES: Mapping[str, str] = {
    "float64": "fp64",
    "double": "fp64",
    "float32": "fp32",
    "float": "fp32",
    "float16": "fp16",
    "half": "fp16",
    "bfloat16": "bf16",
    "float8_e4m3fn": "fp8",
    "float8_e5m2": "fp8",
}
_SHAPE = ("m", "k", "n")
FILLED = ("op", "op_group", "kind", "flops", "bytes", "method")  # what follows where the shape is given
_MOST_OFF = 0.01
_SHORT = ("fp8", "fp6", "fp4", "int8", "int4")
_OUTPUTS = (1, 2, 4)  # bytes of an element that products of short dtypes write


def name_times(raw: pl.DataFrame, path: Path, first_row: int) -> pl.DataFrame:
    """Return a table as given, with its times in the column `latency_s` and its rates in `flops_per_s`.

    Raises
    ------
    InputError
        There are several columns of times or of rates, or a value is not a number.
    """
    plain = {name: name.strip().lower() for name in raw.columns}
    times = [name for name, known in plain.items() if known in {"latency_s", *TIMES}]
    rates = [name for name, known in plain.items() if known in RATES]
    for found in (times, rates):
        if len(found) > 1:
            raise InputError(f"{path}: columns {', '.join(found)}: expected one of them")
    for name in (*times, *rates):
        target = "latency_s" if name in times else "flops_per_s"
        if plain[name] != target:
            values = _read_numbers(raw[name], path, first_row) * {**TIMES, **RATES}[plain[name]]
            raw = raw.drop(name).with_columns(values.alias(target))
    return raw


def fill_from_shape(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of measurements with what follows from m, k and n where it is missing.

    FLOP and bytes are those of a product (`costs.linear`) with all operands in the dtype; the time is FLOP / rate if
    only `flops_per_s` is given. The column `shape_mismatch` says by which factor given ones disagree by more than 1 %.

    Parameters
    ----------
    rows
        All columns of a measurement file, typed, and `flops_per_s`; `dtype` may have a framework's name.
    """
    rows = rows.with_columns(pl.col("dtype").replace(OTHER_DTYPES))
    has_shape = pl.all_horizontal(pl.col(name) >= 1 for name in _SHAPE).fill_null(value=False)
    rows = rows.with_columns(kind=pl.when(has_shape).then(pl.col("kind").fill_null("linear")).otherwise("kind"))
    is_product = has_shape & (pl.col("kind") == "linear").fill_null(value=False)
    size = pl.col("dtype").replace_strict(BYTES, default=None, return_dtype=pl.Float64)
    m, k, n, matrices = *(pl.col(name).cast(pl.Float64) for name in _SHAPE), pl.col("matrices").fill_null(1.0)
    cost = linear(m, k, n, weight=size, activation=size, matrices=matrices)
    shape_flops = pl.when(is_product).then(cost.flops)
    shape_bytes = pl.when(is_product & pl.col("level").fill_null("dram").eq("dram")).then(cost.bytes)
    flops, moved = pl.col("flops"), pl.col("bytes")
    # products of short dtypes may write a wider one
    is_usual = pl.any_horizontal(_is_near(moved, shape_bytes + m * n * (wider - size)) for wider in _OUTPUTS)
    bytes_off = ~_is_near(moved, shape_bytes) & ~(pl.col("dtype").is_in(_SHORT) & is_usual)
    # a trace shows the width of each operand, and what else is read
    bytes_off &= pl.col("coverage").is_null()
    name = pl.format("gemm {}x{}x{}", *_SHAPE)
    rows = rows.with_columns(
        op=pl.when(has_shape).then(pl.col("op").fill_null(name)).otherwise("op"),
        op_group=pl.when(has_shape).then(pl.col("op_group").fill_null("custom")).otherwise("op_group"),
        method=pl.when(has_shape).then(pl.col("method").fill_null("not stated")).otherwise("method"),
        flops=flops.fill_null(shape_flops),
        bytes=moved.fill_null(shape_bytes),
        flops_off=pl.when(~_is_near(flops, shape_flops)).then(flops / shape_flops),
        bytes_off=pl.when(bytes_off).then(moved / shape_bytes),
    )
    rate = flops / pl.col("latency_s")
    rows = rows.with_columns(
        rate_off=pl.when(~_is_near(pl.col("flops_per_s"), rate)).then(pl.col("flops_per_s") / rate),
        latency_s=pl.col("latency_s").fill_null(flops / pl.col("flops_per_s")),
    )
    causes = [
        _describe("flops_off", "FLOP are {} times those of m, k and n"),
        _describe("bytes_off", "bytes are {} times those of m, k, n and dtype"),
        _describe("rate_off", "FLOP/s are {} times FLOP / time"),
    ]
    mismatch = pl.concat_str(causes, separator="; ", ignore_nulls=True)
    return rows.with_columns(shape_mismatch=pl.when(mismatch != "").then(mismatch))


def _is_near(given: pl.Expr, expected: pl.Expr) -> pl.Expr:
    """Whether two quantities agree, or one is not known."""
    return ((given - expected).abs() <= _MOST_OFF * expected).fill_null(value=True)


def _describe(ratio: str, text: str) -> pl.Expr:
    """Return a text with a ratio of three digits in it; null without one."""
    return pl.when(pl.col(ratio).is_not_null()).then(
        pl.format(text, pl.col(ratio).round_sig_figs(3).cast(pl.String).str.strip_suffix(".0"))
    )


def _read_numbers(values: pl.Series, path: Path, first_row: int) -> pl.Series:
    """Return values as numbers; the sign and size are checked later, of the time that they mean."""
    if values.dtype == pl.String:
        values = values.str.strip_chars().replace("", None)
    elif not (values.dtype.is_numeric() or values.dtype == pl.Null):
        raise InputError(f"{path}: column {values.name} of {str(values.dtype).lower()}: expected text or numbers")
    numbers = values.cast(pl.Float64, strict=False)
    wrong = numbers.is_null() & values.is_not_null()
    if wrong.any():
        row = wrong.arg_max() or 0
        what = f"row {first_row + row}: {values.name} = {format_value(values[row])}"
        raise InputError(f"{path}: {what}: expected a number")
    return numbers
