"""Measurement files (CSV, Parquet) into the rows of core.measurement, and the ceilings that they show."""

import re
from collections.abc import Sequence
from typing import Any, get_args

import polars as pl

from flows.ingest.catalog import SourceFile
from flows.ingest.document import ID_PATTERN, shown
from flows.ingest.hardware import Dtype
from flows.ingest.table import Rule, read_table, refuse_broken, rules_of_texts, typed
from warehouse.errors import InputError

_TEXTS = (
    "hardware_id", "device_name", "model_id", "op", "op_group", "phase", "kind", "dtype", "method", "software",
    "origin", "license",
)  # fmt: skip
_COUNTS = (
    "m", "k", "n", "batch_size", "sequence_length", "query_length", "heads", "kv_heads", "head_dim", "tensor_parallel",
    "repeats",
)  # fmt: skip
_NUMBERS = ("matrices", "flops", "bytes", "latency_s", "latency_min_s", "latency_std_s")
COLUMNS: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, pl.String),
    **dict.fromkeys(_COUNTS, pl.Int64),
    **dict.fromkeys(_NUMBERS, pl.Float64),
    "measured_at": pl.Datetime("us", "UTC"),
}
_NEEDED = ("hardware_id", "op", "op_group", "kind", "dtype", "flops", "bytes", "latency_s", "method")
_DEFAULTS = {"tensor_parallel": 1, "matrices": 1.0}
_PHASES = ("prefill", "decode", "speculative")
# A kernel that takes less is no measure of the largest rate.
_LEAST_FLOPS, _LEAST_BYTES = 1e9, 1e6
_LONGEST = 400

_MEASURED_CEILING = {
    "hardware_id": pl.String, "kind": pl.String, "name": pl.String, "basis": pl.String, "origin": pl.String,
    "value_per_s": pl.Float64, "note": pl.String, "source_id": pl.String,
}  # fmt: skip


def read_measurements(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `measurement` (a row a kernel), `measured_ceiling` (a row a limit) and `origin`.

    Raises
    ------
    InputError
        A file is broken, or a column or value is missing, unknown or out of range.
    """
    frames, ceilings, origins = [], [], []
    for source in sources:
        if not re.fullmatch(ID_PATTERN, source.entry_id):
            raise InputError(f"{source.path}: file name = {shown(source.entry_id)}: expected an id, {ID_PATTERN}")
        rows = _rows(source)
        identity = pl.format("{}/{}", pl.lit(source.entry_id), pl.int_range(1, pl.len() + 1))
        frames.append(rows.with_columns(measurement_id=identity, source_id=pl.lit(source.source_id)))
        ceilings.append(_ceilings(rows, source))
        said = rows.select(pl.col("origin", "license").drop_nulls().first()).row(0)
        origins.append({"source_id": source.source_id, "origin": said[0] or _how(rows), "license": said[1]})
    schema = {"measurement_id": pl.String, **COLUMNS, "source_id": pl.String}
    empty = pl.DataFrame(schema=schema)
    texts = dict.fromkeys(("source_id", "origin", "license"), pl.String)
    return {
        "measurement": pl.concat([empty, *(frame.select(*schema) for frame in frames)]).drop("origin", "license"),
        "measured_ceiling": pl.concat([pl.DataFrame(schema=_MEASURED_CEILING), *ceilings]),
        "origin": pl.DataFrame(origins, schema=texts),
    }


def refuse_unknown_devices(measurements: pl.DataFrame, devices: pl.DataFrame, sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` where a measurement names a device that no file describes."""
    unknown = measurements.filter(~pl.col("hardware_id").is_in(devices["hardware_id"].to_list()))
    for source_id, hardware_id in unknown.select("source_id", "hardware_id").head(1).iter_rows():
        path = next(source.path for source in sources if source.source_id == source_id)
        raise InputError(
            f"{path}: hardware_id = {shown(hardware_id)}: expected a device of the catalog, which `rooflines ingest"
            " hardware` adds to"
        )


def with_measured(ceilings: pl.DataFrame, measured: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of core.ceiling with those that measurements show, after the ones of device files."""
    found = measured.with_columns(is_default=pl.lit(value=False), preference=pl.lit(None, pl.Int64))
    key = ["hardware_id", "kind", "name", "basis"]
    every = pl.concat([ceilings, found.select(ceilings.columns)], how="vertical_relaxed")
    order = pl.col("preference").fill_null(10**6).rank("ordinal").over(key).cast(pl.Int64)
    lone = (pl.len().over(["hardware_id", "kind", "name"]) == 1) & pl.col("preference").is_null()
    return every.with_columns(preference=order, is_default=pl.col("is_default") | lone)


def _rows(source: SourceFile) -> pl.DataFrame:
    """Return the rows of a file with defaults filled in; refuse the first that is no measurement."""
    rows = typed(read_table(source), COLUMNS, source.path, needed=_NEEDED, other_names={})
    if rows.is_empty():
        raise InputError(f"{source.path}: no rows; expected one a kernel")
    rows = rows.with_columns(pl.col(name).fill_null(value) for name, value in _DEFAULTS.items())
    dtypes = get_args(Dtype)
    rules: list[Rule] = [
        *((pl.col(name).is_not_null(), f"{name}: missing; expected a value") for name in _NEEDED),
        *((pl.col(name).is_null() | (pl.col(name) >= 1), f"{name}: expected 1 or more") for name in _COUNTS),
        *(
            (pl.col(name).is_null() | pl.col(name).is_finite(), f"{name}: expected a finite number")
            for name in _NUMBERS
        ),
        *rules_of_texts(dict.fromkeys(_TEXTS, _LONGEST)),
        (pl.col("dtype").is_in(dtypes), f"dtype: expected one of {', '.join(dtypes)}"),
        (pl.col("phase").is_null() | pl.col("phase").is_in(_PHASES), f"phase: expected one of {', '.join(_PHASES)}"),
        (pl.col("flops") >= 0, "flops: expected 0 or more"),
        (pl.col("bytes") > 0, "bytes: expected more than 0"),
        (pl.col("latency_s").is_between(1e-9, 1e5), "latency_s: expected 1e-9 to 1e5 seconds"),
        (pl.col("latency_min_s").is_null() | (pl.col("latency_min_s") > 0), "latency_min_s: expected more than 0"),
        (pl.col("latency_std_s").is_null() | (pl.col("latency_std_s") >= 0), "latency_std_s: expected 0 or more"),
        (pl.col("matrices") > 0, "matrices: expected more than 0"),
    ]
    refuse_broken(rows, rules, source.path)
    return rows


def _ceilings(rows: pl.DataFrame, source: SourceFile) -> pl.DataFrame:
    """Return the largest bandwidth of copies and triads, and the largest rate of products by dtype."""
    moved = rows.filter(pl.col("kind").is_in(["copy", "triad"]), pl.col("bytes") >= _LEAST_BYTES).with_columns(
        kind=pl.lit("bandwidth"), name=pl.lit("dram"), value_per_s=pl.col("bytes") / pl.col("latency_s")
    )
    worked = rows.filter(pl.col("kind") == "linear", pl.col("flops") >= _LEAST_FLOPS).with_columns(
        kind=pl.lit("compute"), name="dtype", value_per_s=pl.col("flops") / pl.col("latency_s")
    )
    shape = pl.concat_str(["m", "k", "n"], separator=" x ", ignore_nulls=True)
    return (
        pl.concat([moved, worked])
        .sort("value_per_s", descending=True)
        .unique(["hardware_id", "kind", "name"], keep="first", maintain_order=True)
        .with_columns(
            basis=pl.lit("measured"),
            origin=pl.concat_str(pl.lit(f"{source.shown_path}: largest "), "op", pl.lit(" "), shape),
            note="software",
            source_id=pl.lit(source.source_id),
        )
        .select(*_MEASURED_CEILING)
    )


def _how(rows: pl.DataFrame) -> str:
    device, software, method, when = rows.select("device_name", "software", "method", "measured_at").row(0)
    said = [device, software, method, when and f"{when:%Y-%m-%d}"]
    return ", ".join(str(part) for part in said if part)[:_LONGEST]
