"""Measurement files (CSV, Parquet) into the rows of core.measurement."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from flows.ingest.document import ID_IN_WORDS, ID_PATTERN, ORIGIN_SCHEMA, format_value, refuse_bad_name
from flows.ingest.file_head import FileHead
from flows.ingest.readers.own_times import FILLED, RATES, TIMES, fill_from_shape, name_times
from flows.ingest.source_file import SourceFile
from flows.ingest.table import Rule, read_batches, refuse_bad_rows, scan_table, text_rules, type_columns
from flows.intensity.terms import DTYPES, LAUNCHES, PHASES, PIPES
from warehouse.errors import InputError, collect_refusals
from warehouse.polars_frames import scan_frames

_TEXTS = (
    "hardware_id", "device_name", "model_id", "op", "op_group", "phase", "kind", "dtype", "level", "method",
    "software", "origin", "license", "pipe", "accumulator", "launch", "coverage", "ceiling_basis",
)  # fmt: skip
_COUNTS = (
    "m", "k", "n", "batch_size", "sequence_length", "query_length", "heads", "kv_heads", "head_dim", "tensor_parallel",
    "repeats",
)  # fmt: skip
_NUMBERS = ("matrices", "flops", "bytes", "latency_s", "latency_min_s", "latency_std_s", "covered_share")
COLUMNS: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, pl.String),
    **dict.fromkeys(_COUNTS, pl.Int64),
    **dict.fromkeys(_NUMBERS, pl.Float64),
    "measured_at": pl.Datetime("us", "UTC"),
    "is_ceiling": pl.Boolean,
    "rank": pl.Int64,
}
_NEEDED = ("hardware_id", "op", "op_group", "kind", "dtype", "flops", "bytes", "latency_s", "method")
# files of earlier versions time what the program starts itself
_DEFAULTS = {"tensor_parallel": 1, "matrices": 1.0, "level": "dram", "launch": "eager"}
_MAX_LENGTH = 400

# Methods of the backends of `rooflines measure`, in flows/measure/standalone.py. Files of earlier versions do not state
# what each kernel ran on, but that follows from its kind and dtype.
TORCH_METHOD = "cuda-event, cold L2 (flushed before each execution), median, random data"
NUMPY_METHOD = "wall clock, cold caches (flushed before each execution), median, random data"
_CEILING_KINDS = ("copy", "triad", "linear")
_PRODUCTS = ("linear", "qk", "pv", "attention")
_TENSOR_DTYPES = ("fp16", "bf16", "fp8", "tf32", "int8")

_BASES = ("measured", "counter")  # of ceilings
_CHECKED: dict[str, Any] = {
    "measurement_id": pl.String,
    **COLUMNS,
    "source_id": pl.String,
    "shape_mismatch": pl.String,
}
_IS_COUNTER = (pl.col("ceiling_basis") == "counter").fill_null(value=False)
_SCHEMA = {name: type_ for name, type_ in _CHECKED.items() if name != "ceiling_basis"}


def is_measurement(head: FileHead) -> bool:
    """Return whether a table has a time or a rate, and a shape or FLOP and bytes; steps have a precision instead."""
    names = {name.strip().lower() for name in head.columns}
    has_work = {"m", "k", "n", "dtype"} <= names or {"dtype", "flops", "bytes"} <= names
    has_time = bool(names & {*TIMES, *RATES}) and has_work
    return ("latency_s" in names or has_time) and "precision_id" not in names


def read_measurements(sources: Sequence[SourceFile]) -> dict[str, pl.LazyFrame]:
    """Return the frames `measurement` (one row per kernel), `counter_ceiling` and `origin`.

    The measurements are read and checked in batches, when they are collected. Rows of the basis `counter` are not among
    them: nobody measured them. They are the frame `counter_ceiling`, with the same columns.

    Raises
    ------
    InputError
        Files are broken, or a column or value is missing, unknown or out of range.
    """

    def read_all() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame(schema=_SCHEMA)
        for number, source in enumerate(sources):
            try:
                for rows in _read_frames(source):
                    yield rows.filter(~_IS_COUNTER).drop("ceiling_basis")
            except InputError:
                _refuse_bad_rows(sources[number:])
                raise

    def read_counters() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame(schema=_CHECKED)
        for source in sources:
            if "ceiling_basis" in scan_table(source).collect_schema().names():
                for rows in _read_frames(source):
                    yield rows.filter(_IS_COUNTER)

    origins = []
    try:
        for source in sources:
            refuse_bad_name(source)
            origins.append(_find_origin(source))
    except InputError:
        _refuse_bad_rows(sources)
        raise
    return {
        "measurement": scan_frames(_SCHEMA, read_all),
        "counter_ceiling": scan_frames(_CHECKED, read_counters),
        "origin": pl.LazyFrame(origins, schema=ORIGIN_SCHEMA),
    }


def _refuse_bad_rows(sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` for all bad files, given that one of them is bad."""
    with collect_refusals() as each:
        for source in sources:
            with each():
                refuse_bad_name(source)
                for _ in _read_frames(source):
                    pass


def refuse_unknown_devices(measurements: pl.LazyFrame, devices: pl.DataFrame, sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` if a measurement names a device that no file describes."""
    named = measurements.select("source_id", "hardware_id").unique().collect()
    unknown = named.filter(~pl.col("hardware_id").is_in(devices["hardware_id"].to_list())).sort(named.columns)
    with collect_refusals() as each:
        for source_id, hardware_id in unknown.unique("source_id", keep="first", maintain_order=True).iter_rows():
            with each():
                path = next(source.path for source in sources if source.source_id == source_id)
                raise InputError(
                    f"{path}: hardware_id = {format_value(hardware_id)}: expected a device of the catalog;"
                    " `rooflines ingest hardware` adds one"
                )


def _read_frames(source: SourceFile) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file in batches, with defaults filled in; refuse the first bad row."""
    first, raw = 1, pl.DataFrame()
    for first, raw in read_batches(source):
        rows = _type_rows(raw, source.path, first)
        identity = pl.format("{}/{}", pl.lit(source.entry_id), pl.int_range(first, first + pl.len()))
        yield _check_rows(rows, source.path, first).select(
            identity.alias("measurement_id"),
            *COLUMNS,
            pl.lit(source.source_id).alias("source_id"),
            "shape_mismatch",
        )
    if first == 1 and raw.is_empty():
        raise InputError(f"{source.path}: no rows; expected one per kernel")


def _type_rows(raw: pl.DataFrame, path: Path, first_row: int) -> pl.DataFrame:
    """Return all columns of a batch, each of its type, with those that follow from others."""
    raw = name_times(raw, path, first_row)
    names = {name.strip().lower() for name in raw.columns}
    missing = [name for name in _NEEDED if name not in names]
    if missing == ["hardware_id"]:
        raise InputError(f"{path}: no column hardware_id; expected one, or --hardware-id with the device of all rows")
    follows = {*(FILLED if {"m", "k", "n"} <= names else ()), *({"latency_s"} if "flops_per_s" in names else ())}
    missing = [name for name in missing if name not in follows]
    if "latency_s" in missing and len(missing) == 1:
        expected = f"expected one, or {', '.join((*TIMES, *RATES))}"
        raise InputError(f"{path}: no column latency_s; {expected}")
    if missing and not follows:
        expected = f"expected {', '.join(_NEEDED)}; or of a product hardware_id, m, k, n, dtype and a time"
        raise InputError(f"{path}: no column {', '.join(missing)}; {expected}")
    needed = [name for name in _NEEDED if name not in follows]
    columns = {**COLUMNS, "flops_per_s": pl.Float64} if "flops_per_s" in names else COLUMNS
    rows = type_columns(raw, columns, path, needed=needed, other_names={}, first_row=first_row)
    if "flops_per_s" not in rows.columns:
        rows = rows.with_columns(flops_per_s=pl.lit(None, pl.Float64))
    return fill_from_shape(rows)


def _check_rows(rows: pl.DataFrame, path: Path, first_row: int) -> pl.DataFrame:
    rows = _complete_rows(rows)
    rules: list[Rule] = [
        *((pl.col(name).is_not_null(), f"{name}: missing; expected a value") for name in _NEEDED),
        *((pl.col(name).is_null() | (pl.col(name) >= 1), f"{name}: expected 1 or more") for name in _COUNTS),
        *(
            (pl.col(name).is_null() | pl.col(name).is_finite(), f"{name}: expected a finite number")
            for name in _NUMBERS
        ),
        *text_rules(dict.fromkeys(_TEXTS, _MAX_LENGTH)),
        (pl.col("dtype").is_in(DTYPES), f"dtype: expected one of {', '.join(DTYPES)}"),
        (pl.col("level").str.contains(ID_PATTERN), f"level: expected a name such as dram, l2 or l1: {ID_IN_WORDS}"),
        (pl.col("pipe").is_in(["", *PIPES]), f"pipe: expected one of {', '.join(PIPES)}, or none"),
        (pl.col("accumulator").is_in(["", *DTYPES]), f"accumulator: expected one of {', '.join(DTYPES)}, or none"),
        (pl.col("launch").is_in(LAUNCHES), f"launch: expected one of {', '.join(LAUNCHES)}"),
        (pl.col("phase").is_null() | pl.col("phase").is_in(PHASES), f"phase: expected one of {', '.join(PHASES)}"),
        (pl.col("flops") >= 0, "flops: expected 0 or more"),
        (pl.col("bytes") > 0, "bytes: expected more than 0"),
        (pl.col("latency_s").is_between(1e-9, 1e5), "latency_s: expected 1e-9 to 1e5 seconds"),
        (pl.col("latency_min_s").is_null() | (pl.col("latency_min_s") > 0), "latency_min_s: expected more than 0"),
        (pl.col("latency_std_s").is_null() | (pl.col("latency_std_s") >= 0), "latency_std_s: expected 0 or more"),
        (pl.col("matrices") > 0, "matrices: expected more than 0"),
        (
            pl.col("ceiling_basis").is_null() | (pl.col("ceiling_basis").is_in(_BASES) & pl.col("is_ceiling")),
            f"ceiling_basis: expected one of {', '.join(_BASES)}, of a row that is a ceiling",
        ),
        (pl.col("rank").is_null() | (pl.col("rank") >= 0), "rank: expected 0 or more"),
        (
            pl.col("covered_share").is_null() | pl.col("covered_share").is_between(0, 1),
            "covered_share: expected 0 to 1",
        ),
    ]
    refuse_bad_rows(rows, rules, path, first_row)
    return rows


def _complete_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Fill in what a file leaves out: defaults, and what follows from how `rooflines measure` works.

    With PyTorch on CUDA, products of short dtypes run on tensor cores, everything else on CUDA cores. On AMD devices
    (whose software has no CUDA version), the others may run on matrix cores too.
    """
    kind, dtype, method = (pl.col(name) for name in ("kind", "dtype", "method"))
    is_torch = (method == TORCH_METHOD).fill_null(value=False)
    is_measured = is_torch | (method == NUMPY_METHOD).fill_null(value=False)
    on_tensor = is_torch & kind.is_in(_PRODUCTS) & dtype.is_in(_TENSOR_DTYPES)
    on_cuda_cores = is_torch & ~on_tensor & ~pl.col("software").str.contains("CUDA None").fill_null(value=False)
    pipe = pl.when(on_tensor).then(pl.lit("tensor")).when(on_cuda_cores).then(pl.lit("vector")).otherwise(pl.lit(""))
    accumulator = (
        pl.when(on_tensor & (dtype == "int8"))
        .then(pl.lit("int32"))
        .when(on_tensor)
        .then(pl.lit("fp32"))
        .otherwise(pl.lit(""))
    )
    is_ceiling = (pl.col("op_group") == "ceiling") | (is_measured & kind.is_in(_CEILING_KINDS))
    found = {"pipe": pipe, "accumulator": accumulator, "is_ceiling": is_ceiling.fill_null(value=False)}
    return rows.with_columns(
        *(pl.col(name).fill_null(value) for name, value in _DEFAULTS.items()),
        *(pl.col(name).fill_null(value) for name, value in found.items()),
    )


def _find_origin(source: SourceFile) -> dict[str, str | None]:
    """Return the origin that a file states; if it states none, how its first kernel was measured."""
    origin, license_, first = None, None, None
    for number, raw in read_batches(source):
        rows = _type_rows(raw, source.path, number)
        first = rows.head(1) if first is None else first
        parts = rows.select(pl.col("origin", "license").drop_nulls().first()).row(0)
        origin, license_ = origin or parts[0], license_ or parts[1]
        if origin is not None:
            break
    how = _describe_method(first) if first is not None and len(first) else ""
    return {"source_id": source.source_id, "origin": origin or how, "license": license_}


def _describe_method(rows: pl.DataFrame) -> str:
    device, software, method, when = rows.select("device_name", "software", "method", "measured_at").row(0)
    parts = [device, software, method, when and f"{when:%Y-%m-%d}"]
    return ", ".join(str(part) for part in parts if part)[:_MAX_LENGTH]
