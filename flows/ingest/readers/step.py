"""Files of measured steps (CSV) into the rows of core.step_measurement."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from flows.ingest.document import ORIGIN_SCHEMA, format_value, refuse_bad_name
from flows.ingest.source_file import SourceFile
from flows.ingest.table import Rule, read_table, refuse_bad_rows, text_rules, type_columns
from flows.intensity.terms import FUSIONS, LAUNCHES, PHASES, SHARING
from warehouse.errors import InputError, collect_refusals

_IDS = {"hardware_id": "hardware", "model_id": "model", "precision_id": "precision"}  # column -> kind that it names
_TEXTS = (*_IDS, "device_name", "phase", "launch", "fusion", "method", "software", "origin", "license")
_COUNTS = ("batch_size", "sequence_length", "query_length", *SHARING, "layers_timed", "repeats")
_NUMBERS = ("latency_s", "latency_min_s", "latency_std_s")
COLUMNS: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, pl.String),
    **dict.fromkeys(_COUNTS, pl.Int64),
    **dict.fromkeys(_NUMBERS, pl.Float64),
    "measured_at": pl.Datetime("us", "UTC"),
}
NEEDED = (*_IDS, "phase", "batch_size", "sequence_length", "launch", "fusion", "latency_s", "method")
_WORDS = {"phase": PHASES, "launch": LAUNCHES, "fusion": FUSIONS}
_MAX_LENGTH = 400
_SCHEMA: dict[str, Any] = {
    "step_measurement_id": pl.String,
    **{name: dtype for name, dtype in COLUMNS.items() if name not in {"origin", "license"}},
    "source_id": pl.String,
}


def read_steps(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `timed_step` (one row per measured step) and `origin`.

    Raises
    ------
    InputError
        Files are broken, or a column or value is missing, unknown or out of range.
    """
    frames, origins = [pl.DataFrame(schema=_SCHEMA)], []
    with collect_refusals() as each:
        for source in sources:
            with each():
                refuse_bad_name(source)
                rows = _read_rows(source)
                origins.append(_find_origin(rows, source))
                identity = pl.format("{}/{}", pl.lit(source.entry_id), pl.int_range(1, 1 + pl.len()))
                found = rows.with_columns(step_measurement_id=identity, source_id=pl.lit(source.source_id))
                frames.append(found.select(list(_SCHEMA)))
    return {"timed_step": pl.concat(frames), "origin": pl.DataFrame(origins, schema=ORIGIN_SCHEMA)}


def refuse_unknown_names(frames: Mapping[str, pl.LazyFrame], sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` if a measured step names a device, model or precision that no file describes.

    Parameters
    ----------
    frames
        `timed_step`, `hardware`, `model` and `precision`.
    sources
        The files, to name the one that is wrong.
    """
    steps = frames["timed_step"].collect()
    with collect_refusals() as each:
        for column, kind in _IDS.items():
            known = frames[kind].select(column).collect()[column].to_list()
            unknown = steps.filter(~pl.col(column).is_in(known)).unique(
                ["source_id"], keep="first", maintain_order=True
            )
            for source_id, given in unknown.select("source_id", column).iter_rows():
                with each():
                    path = next(source.path for source in sources if source.source_id == source_id)
                    what = "device" if kind == "hardware" else kind
                    raise InputError(f"{path}: {column} = {format_value(given)}: expected a {what} of the catalog")


def _read_rows(source: SourceFile) -> pl.DataFrame:
    raw = read_table(source)
    rows = type_columns(raw, COLUMNS, source.path, needed=NEEDED, other_names={})
    if rows.is_empty():
        raise InputError(f"{source.path}: no rows; expected one per step")
    whole = pl.when(pl.col("phase") == "prefill").then("sequence_length").otherwise(1)
    rows = rows.with_columns(pl.col("query_length").fill_null(whole), *(pl.col(name).fill_null(1) for name in SHARING))
    rules: list[Rule] = [
        *((pl.col(name).is_not_null(), f"{name}: missing; expected a value") for name in NEEDED),
        *((pl.col(name).is_null() | (pl.col(name) >= 1), f"{name}: expected 1 or more") for name in _COUNTS),
        *((pl.col(name).is_in(words), f"{name}: expected one of {', '.join(words)}") for name, words in _WORDS.items()),
        *text_rules(dict.fromkeys(_TEXTS, _MAX_LENGTH)),
        (pl.col("query_length") <= pl.col("sequence_length"), "query_length: expected at most sequence_length"),
        ((pl.col("query_length") == 1) | (pl.col("phase") != "decode"), "query_length: expected 1 in decode"),
        (pl.col("latency_s").is_between(1e-9, 1e5), "latency_s: expected 1e-9 to 1e5 seconds"),
        (
            pl.col("latency_min_s").is_null() | pl.col("latency_min_s").is_between(1e-9, 1e5),
            "latency_min_s: expected 1e-9 to 1e5 seconds",
        ),
        (
            pl.col("latency_std_s").is_null() | pl.col("latency_std_s").is_between(0, 1e5),
            "latency_std_s: expected 0 to 1e5 seconds",
        ),
    ]
    # a refusal names the row by its model
    refuse_bad_rows(rows.with_columns(op="model_id"), rules, source.path)
    return rows


def _find_origin(rows: pl.DataFrame, source: SourceFile) -> dict[str, str | None]:
    """Return the origin that a file states; if it states none, how its first step was measured."""
    origin, license_ = rows.select(pl.col("origin", "license").drop_nulls().first()).row(0)
    device, software, method, when = rows.select("device_name", "software", "method", "measured_at").row(0)
    parts = [device, software, method, when and f"{when:%Y-%m-%d}"]
    how = ", ".join(str(part) for part in parts if part)[:_MAX_LENGTH]
    return {"source_id": source.source_id, "origin": origin or how, "license": license_}
