"""Files of the user's own ops (CSV, Parquet, JSON): kernels given by FLOP and bytes, or by m, k and n."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from flows.ingest.document import ID_IN_WORDS, ID_PATTERN, ORIGIN_SCHEMA, format_value, refuse_bad_name
from flows.ingest.limits import MAX_OPS
from flows.ingest.model_names import make_short_name
from flows.ingest.source_file import SourceFile
from flows.ingest.table import Rule, read_table, refuse_bad_rows, text_rules, type_columns
from flows.intensity.terms import PIPES
from warehouse.errors import InputError, collect_refusals

_MAX_COUNT = 2**31  # of a dimension

_TEXTS = {"op": 200, "op_group": 200, "precision_id": 64, "level": 64, "pipe": 64}  # column -> longest text
_COUNTS = ("m", "k", "n", "batch", "repeat", "devices")
_DEFAULTS = {"op_group": "custom", "batch": 1, "repeat": 1, "devices": 1, "level": "dram", "pipe": ""}
_AMOUNTS = ("flops", "bytes")
_COLUMNS: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, pl.String),
    **dict.fromkeys(_COUNTS, pl.Int64),
    **dict.fromkeys(_AMOUNTS, pl.Float64),
}
_OTHER_NAMES = {"name": "op", "group": "op_group", "flop": "flops", "precision": "precision_id"}
_NAME = ("op", "level", "devices")  # what tells ops of a file apart
_NAME_IN_WORDS = "name and precision, and the same level and devices"
_SHAPED, _GIVEN = ("m", "k", "n"), _AMOUNTS


def read_ops(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `op_set` (one row per file), `op` (one row per op) and `origin`.

    An op has a name (`op` or `name`), and either m, k and n of a GEMM (and `batch`, if there are several), or
    `flops` and `bytes`. It may have a group, a `repeat` and a precision; an op with `flops` and `bytes` must have a
    precision, because its peak depends on it. Its bytes are those of a `level`, and its work is one device's share if
    `devices` share it; the `pipe` says which units do the arithmetic.

    Raises
    ------
    InputError
        A file is broken, or a column or value is missing, unknown or out of range.
    """
    frames, sets, origins = [], [], []
    with collect_refusals() as each:
        for source in sources:
            with each():
                refuse_bad_name(source)
                frames.append(
                    _check_ops(_read_rows(source), source.path).with_columns(op_set_id=pl.lit(source.entry_id))
                )
                names = {"op_set_id": source.entry_id, "short_name": make_short_name(source.entry_id)}
                sets.append({**names, "source_id": source.source_id})
                origin = f"ops given in {source.path.name}"
                origins.append({"source_id": source.source_id, "origin": origin, "license": None})
    empty = pl.DataFrame(schema={**_COLUMNS, "op_set_id": pl.String})
    return {
        "op": pl.concat([empty, *(frame.select(empty.columns) for frame in frames)]),
        "op_set": pl.DataFrame(sets, schema=dict.fromkeys(("op_set_id", "short_name", "source_id"), pl.String)),
        "origin": pl.DataFrame(origins, schema=ORIGIN_SCHEMA),
    }


def refuse_unknown_precisions(ops: pl.DataFrame, precisions: pl.DataFrame, sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` if an op names a precision that no file describes."""
    known = precisions["precision_id"].sort().to_list()
    unknown = ops.filter(~pl.col("precision_id").is_in(known)).select("op_set_id", "op", "precision_id")
    with collect_refusals() as each:
        for op_set_id, op, precision_id in unknown.unique("op_set_id", keep="first", maintain_order=True).iter_rows():
            with each():
                what = (
                    f"{_find_path(op_set_id, sources)}: {format_value(op)}: precision_id = {format_value(precision_id)}"
                )
                raise InputError(f"{what}: expected one of {', '.join(known)}")


def refuse_names_of_models(op_sets: pl.DataFrame, models: pl.DataFrame, sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` if a file of ops has the name of a model."""
    both = op_sets.filter(pl.col("op_set_id").is_in(models["model_id"].to_list()))
    with collect_refusals() as each:
        for (op_set_id,) in both.select("op_set_id").iter_rows():
            with each():
                what = f"{_find_path(op_set_id, sources)}: file name = {format_value(op_set_id)}"
                raise InputError(f"{what}: this is the id of a model; expected another name")


def _find_path(op_set_id: str, sources: Sequence[SourceFile]) -> object:
    return next(source.path for source in sources if (source.kind, source.entry_id) == ("ops", op_set_id))


def _read_rows(source: SourceFile) -> pl.DataFrame:
    rows = type_columns(read_table(source), _COLUMNS, source.path, needed=["op"], other_names=_OTHER_NAMES)
    if not 1 <= len(rows) <= MAX_OPS:
        raise InputError(f"{source.path}: {len(rows)} rows; expected 1 to {MAX_OPS}")
    return rows


def _check_ops(ops: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Return the ops with defaults filled in; refuse rows that cannot be placed on a roofline."""
    shaped, given = (pl.all_horizontal(pl.col(names).is_not_null()) for names in (_SHAPED, _GIVEN))
    any_shaped, any_given = (pl.any_horizontal(pl.col(names).is_not_null()) for names in (_SHAPED, _GIVEN))
    flops, moved, level, pipe = (pl.col(name) for name in ("flops", "bytes", "level", "pipe"))
    ops = ops.with_columns(pl.col(name).fill_null(_DEFAULTS[name]) for name in ("level", "devices", "pipe"))
    rules: list[Rule] = [
        (pl.col("op").is_not_null(), "op: missing; expected a name"),
        ((shaped & ~any_given) | (given & ~any_shaped), "expected either m, k and n, or flops and bytes"),
        (shaped | pl.col("precision_id").is_not_null(), "precision_id: missing; expected one with flops and bytes"),
        (shaped | pl.col("batch").is_null(), "batch: expected only with m, k and n"),
        *(
            (pl.col(name).is_null() | pl.col(name).is_between(1, _MAX_COUNT), f"{name}: expected 1 to {_MAX_COUNT}")
            for name in _COUNTS
        ),
        (flops.is_null() | (flops == 0) | flops.is_between(1, 1e30), "flops: expected 0, or 1 to 1e30"),
        (moved.is_null() | moved.is_between(1, 1e30), "bytes: expected 1 to 1e30"),
        *text_rules(_TEXTS),
        (level.str.contains(ID_PATTERN), f"level: expected a name such as dram, l2: {ID_IN_WORDS}"),
        (pipe.is_in(["", *PIPES]), f"pipe: expected one of {', '.join(PIPES)}, or none"),
        (pl.struct(*_NAME, "precision_id").is_first_distinct(), f"op: a second row with this {_NAME_IN_WORDS}"),
        (
            pl.struct(*_COUNTS, "op_group", "pipe").n_unique().over(_NAME) == 1,
            "op: rows with this name differ in more than precision, level, devices, flops and bytes",
        ),
        (pl.col("m") * pl.col("batch").fill_null(1) <= _MAX_COUNT, f"batch times m: expected at most {_MAX_COUNT}"),
    ]
    refuse_bad_rows(ops, rules, path)
    return ops.with_columns(pl.col(name).fill_null(value) for name, value in _DEFAULTS.items())
