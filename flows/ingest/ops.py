"""Files of ops of one's own (CSV, Parquet, JSON): any kernel whose work and bytes are known or follow from m, k, n."""

import io
import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from flows.ingest.catalog import SourceFile
from flows.ingest.document import ID_PATTERN, TEXT_PATTERN, plain_type, shown
from flows.ingest.model import short_name
from warehouse.errors import InputError, one_line

_MAX_OPS = 100_000
_MAX_COUNT = 2**31  # of a dimension

_TEXTS = {"op": 200, "op_group": 200, "precision_id": 64}  # column -> longest text
_COUNTS = ("m", "k", "n", "batch", "repeat")
_AMOUNTS = ("flops", "bytes")
_COLUMNS: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, pl.String),
    **dict.fromkeys(_COUNTS, pl.Int64),
    **dict.fromkeys(_AMOUNTS, pl.Float64),
}
_OTHER_NAMES = {"name": "op", "group": "op_group", "flop": "flops", "precision": "precision_id"}
_SHAPED, _GIVEN = ("m", "k", "n"), _AMOUNTS


def read_ops(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `op_set` (a row a file), `op` (a row an op) and `origin`.

    An op has a name (`op` or `name`), and either m, k and n of a product (and `batch`, if there are
    several of them), or `flops` and `bytes`. It may have a group, a `repeat` and a precision; where
    FLOP and bytes are given it must have a precision, since the peak hangs on it.

    Raises
    ------
    InputError
        A file is broken, or a column or value is missing, unknown or out of range.
    """
    frames, sets, origins = [], [], []
    for source in sources:
        if not re.fullmatch(ID_PATTERN, source.entry_id):
            raise InputError(f"{source.path}: file name = {shown(source.entry_id)}: expected an id, {ID_PATTERN}")
        frames.append(_checked(_typed(_parsed(source), source), source).with_columns(op_set_id=pl.lit(source.entry_id)))
        names = {"op_set_id": source.entry_id, "short_name": short_name(source.entry_id)}
        sets.append({**names, "source_id": source.source_id})
        origins.append({"source_id": source.source_id, "origin": f"ops given in {source.path.name}", "license": None})
    empty = pl.DataFrame(schema={**_COLUMNS, "op_set_id": pl.String})
    return {
        "op": pl.concat([empty, *(frame.select(empty.columns) for frame in frames)]),
        "op_set": pl.DataFrame(sets, schema=dict.fromkeys(("op_set_id", "short_name", "source_id"), pl.String)),
        "origin": pl.DataFrame(origins, schema={"source_id": pl.String, "origin": pl.String, "license": pl.String}),
    }


def refuse_unknown_precisions(ops: pl.DataFrame, precisions: pl.DataFrame, sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` where an op names a precision that no file describes."""
    known = precisions["precision_id"].sort().to_list()
    unknown = ops.filter(~pl.col("precision_id").is_in(known)).select("op_set_id", "op", "precision_id")
    for op_set_id, op, precision_id in unknown.head(1).iter_rows():
        path = _path_of(op_set_id, sources)
        raise InputError(
            f"{path}: {shown(op)}: precision_id = {shown(precision_id)}: expected one of {', '.join(known)}"
        )


def refuse_names_of_models(op_sets: pl.DataFrame, models: pl.DataFrame, sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` where a file of ops has the name of a model."""
    both = op_sets.filter(pl.col("op_set_id").is_in(models["model_id"].to_list()))
    for (op_set_id,) in both.select("op_set_id").head(1).iter_rows():
        raise InputError(f"{_path_of(op_set_id, sources)}: file name = {shown(op_set_id)}: expected no model's id")


def _path_of(op_set_id: str, sources: Sequence[SourceFile]) -> object:
    return next(source.path for source in sources if (source.kind, source.entry_id) == ("ops", op_set_id))


def _parsed(source: SourceFile) -> pl.DataFrame:
    content, path = source.content(), source.path
    try:
        if path.suffix == ".csv":
            # every value as text first: what is no number gets a line that names it
            return pl.read_csv(io.BytesIO(content), infer_schema=False, raise_if_empty=False)
        if path.suffix == ".json":
            return pl.read_json(io.BytesIO(content), infer_schema_length=None)
        return pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, ValueError, OSError, pl.exceptions.PanicException) as error:
        kind = path.suffix.removeprefix(".").upper()
        raise InputError(f"{path}: broken {kind}: {one_line(error)[:200]}") from None


def _typed(frame: pl.DataFrame, source: SourceFile) -> pl.DataFrame:
    """Return the frame with all columns that ops can have, each of its type."""
    path = source.path
    plain = [name.strip().lower() for name in frame.columns]
    names = [_OTHER_NAMES.get(name, name) for name in plain]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: column {shown(name)} stands twice, or under two names; expected it once")
    frame.columns = names
    for name in frame.columns:
        if name not in _COLUMNS:
            raise InputError(f"{path}: column {shown(name)}: expected one of {', '.join(_COLUMNS)}")
    if "op" not in frame.columns:
        raise InputError(f"{path}: no column op (or name); expected one")
    if not 1 <= len(frame) <= _MAX_OPS:
        raise InputError(f"{path}: {len(frame)} rows; expected 1 to {_MAX_OPS}")
    columns = []
    for name, dtype in _COLUMNS.items():
        given = frame[name] if name in frame.columns else pl.Series(name, [None] * len(frame), dtype=dtype)
        given = plain_type(given, path)
        if given.dtype == pl.String:
            given = given.str.strip_chars().replace("", None)
        # counts may be written as 1e6
        wide = given.cast(pl.Float64 if dtype.is_numeric() else dtype, strict=False)
        cast = wide.cast(dtype, strict=False)
        wrong = given.is_not_null() & (cast.is_null() | (cast.cast(wide.dtype) != wide))
        if wrong.any():
            row = wrong.arg_max() or 0
            kind = "a whole number" if dtype == pl.Int64 else "a number" if dtype == pl.Float64 else "a text"
            raise InputError(f"{path}: row {row + 1}: {name} = {shown(given[row])}: expected {kind}")
        columns.append(cast.alias(name))
    return pl.DataFrame(columns)


def _checked(ops: pl.DataFrame, source: SourceFile) -> pl.DataFrame:
    """Return the ops with defaults filled in; refuse the first row that cannot be placed on a roofline."""
    shaped, given = (pl.all_horizontal(pl.col(names).is_not_null()) for names in (_SHAPED, _GIVEN))
    any_shaped, any_given = (pl.any_horizontal(pl.col(names).is_not_null()) for names in (_SHAPED, _GIVEN))
    rules: list[tuple[pl.Expr, str]] = [
        (pl.col("op").is_not_null(), "op: missing; expected a name"),
        ((shaped & ~any_given) | (given & ~any_shaped), "expected either m, k and n, or flops and bytes"),
        (shaped | pl.col("precision_id").is_not_null(), "precision_id: missing; expected one beside flops and bytes"),
        (shaped | pl.col("batch").is_null(), "batch: expected only beside m, k and n"),
        *(
            (pl.col(name).is_null() | pl.col(name).is_between(1, _MAX_COUNT), f"{name}: expected 1 to {_MAX_COUNT}")
            for name in _COUNTS
        ),
        (
            pl.col("flops").is_null() | (pl.col("flops") == 0) | pl.col("flops").is_between(1, 1e30),
            "flops: expected 0, or 1 to 1e30",
        ),
        (pl.col("bytes").is_null() | pl.col("bytes").is_between(1, 1e30), "bytes: expected 1 to 1e30"),
        *(
            (
                pl.col(name).is_null() | (pl.col(name).str.len_chars() <= most),
                f"{name}: expected at most {most} letters",
            )
            for name, most in _TEXTS.items()
        ),
        (pl.struct("op", "precision_id").is_first_distinct(), "op: a second row of this name and precision"),
        *(
            (
                pl.col(name).is_null() | pl.col(name).str.contains(TEXT_PATTERN),
                f"{name}: expected no control characters",
            )
            for name in _TEXTS
        ),
        (
            pl.struct(*_COUNTS, "op_group").n_unique().over("op") == 1,
            "op: rows of this name differ in more than precision, flops and bytes",
        ),
        (pl.col("m") * pl.col("batch").fill_null(1) <= _MAX_COUNT, f"batch times m: expected at most {_MAX_COUNT}"),
    ]
    for rule, message in rules:
        broken = ops.with_row_index("row", offset=1).filter(~rule)
        for row, op in broken.select("row", "op").head(1).iter_rows():
            raise InputError(f"{source.path}: row {row} ({shown(op)}): {message}")
    return ops.with_columns(
        pl.col("op_group").fill_null("custom"), pl.col("batch").fill_null(1), pl.col("repeat").fill_null(1)
    )
