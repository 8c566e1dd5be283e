"""Tables (CSV, JSON, Parquet), read and typed; a refusal is one line that names row and column."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from flows.ingest.document import PLAIN_TEXT, TEXT_PATTERN, format_value
from flows.ingest.limits import (
    HEAD_BYTES,
    UNREADABLE,
    refuse_bad_json,
    refuse_inflated,
    refuse_long_lines,
    refuse_utf_16,
    silence_panics,
)
from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError, collect_refusals, one_line

Columns = Mapping[str, Any]  # name -> polars type
Rule = tuple[pl.Expr, str]  # what must hold for a row, and the message if it does not

_BATCH = 200_000  # rows
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def read_table(source: SourceFile) -> pl.DataFrame:
    """Return the rows of a file; those of a CSV as strings, so that a refusal can quote what is not a number.

    Raises
    ------
    InputError
        The file is broken.
    """
    content, path = io.BytesIO(source.read_bytes()), source.path
    refuse_utf_16(content.getvalue()[:HEAD_BYTES], path)
    try:
        if path.suffix == ".csv":
            return pl.read_csv(content, infer_schema=False)
        if path.suffix == ".json":
            refuse_bad_json(content.getvalue(), path)
            return pl.read_json(content, infer_schema_length=None)
        with silence_panics():
            refuse_inflated(path, pl.scan_parquet(content), source.size_bytes)
            return pl.read_parquet(content)
    except UNREADABLE as error:
        raise _broken_file_error(path, error) from None


def scan_table(source: SourceFile) -> pl.LazyFrame:
    """Return the rows of a CSV or Parquet file of any size, typed as in `read_table`, without reading them yet."""
    if source.path.suffix == ".csv":
        return pl.scan_csv(source.stored_at, infer_schema=False, glob=False)
    return pl.scan_parquet(source.stored_at, glob=False)


def read_batches(source: SourceFile) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield the rows of a CSV or Parquet file of any size in batches, each with the number of its first row.

    Raises
    ------
    InputError
        The file is broken, or has changed since it was listed.
    """
    source.refuse_change()
    first = 1
    try:
        if source.path.suffix == ".csv":
            refuse_long_lines(source.stored_at)
        else:
            with silence_panics():
                refuse_inflated(source.path, scan_table(source), source.size_bytes)
        frames = scan_table(source).collect_batches(chunk_size=_BATCH, maintain_order=True)
        while (frame := _next_batch(frames)) is not None:
            yield first, frame
            first += len(frame)
    except UNREADABLE as error:
        raise _broken_file_error(source.path, error) from None


def _next_batch(frames: Iterator[pl.DataFrame]) -> pl.DataFrame | None:
    with silence_panics():
        return next(frames, None)


def type_columns(
    frame: pl.DataFrame,
    columns: Columns,
    path: Path,
    *,
    needed: Sequence[str],
    other_names: Mapping[str, str],
    first_row: int = 1,
) -> pl.DataFrame:
    """Return all columns that a table can have, each of its type; null if the table lacks a value.

    Parameters
    ----------
    frame
        Result of `read_table`.
    columns
        The columns that a table can have, with their types.
    path
        The file, which messages name.
    needed
        Columns that a table must have.
    other_names
        Other names of columns -> their names.
    first_row
        Number of the first row in the file.

    Raises
    ------
    InputError
        A column is unknown, missing or given twice, or a value is not of its type.
    """
    plain = [name.strip().lower() for name in frame.columns]
    names = [other_names.get(name, name) for name in plain]
    for name in names:
        if name not in columns:
            raise InputError(f"{path}: column {format_value(name)}: expected one of {', '.join(columns)}")
        if names.count(name) > 1:
            raise InputError(f"{path}: column {format_value(name)} is given twice, or by two names; expected it once")
    missing = [name for name in needed if name not in names]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; expected {', '.join(needed)}")
    frame.columns = names
    return pl.DataFrame([_type_column(frame, name, dtype, path, first_row) for name, dtype in columns.items()])


def refuse_bad_rows(rows: pl.DataFrame, rules: Sequence[Rule], path: Path, first_row: int = 1) -> None:
    """Raise `InputError` for the first row that breaks each rule, at most once per row; `op` names the row.

    A message that begins with a column's name and a colon ends with the row's own value.
    """
    numbered = rows.with_row_index("row", offset=first_row)
    refused: set[int] = set()
    with collect_refusals() as each:
        for rule, message in rules:
            for bad in numbered.filter(~rule).head(1).iter_rows(named=True):
                if bad["row"] not in refused:
                    refused.add(bad["row"])
                    given = bad.get(message.partition(":")[0])
                    what = "" if given is None else f", not {format_value(given)}"
                    with each():
                        raise InputError(f"{path}: row {bad['row']} ({format_value(bad['op'])}): {message}{what}")


def text_rules(longest: Mapping[str, int]) -> list[Rule]:
    """Return the rules for columns of text: not too long, and one line without control characters."""
    return [
        *(
            (
                pl.col(name).is_null() | (pl.col(name).str.len_chars() <= most),
                f"{name}: expected at most {most} characters",
            )
            for name, most in longest.items()
        ),
        *(
            (pl.col(name).is_null() | pl.col(name).str.contains(TEXT_PATTERN), f"{name}: expected {PLAIN_TEXT}")
            for name in longest
        ),
    ]


def _broken_file_error(path: Path, error: BaseException) -> InputError:
    return InputError(f"{path}: broken {path.suffix.removeprefix('.').upper()}: {one_line(error)[:200]}")


def _type_column(frame: pl.DataFrame, name: str, dtype: Any, path: Path, first_row: int) -> pl.Series:
    if name not in frame.columns:
        return pl.Series(name, [None] * len(frame), dtype=dtype)
    given = frame[name]
    if dtype != pl.Boolean or given.dtype != pl.Boolean:
        given = _make_plain(given, path, may_be_time=dtype.is_temporal())
    if given.dtype == pl.String:
        given = given.str.strip_chars().replace("", None)
    if dtype.is_temporal() and given.dtype == pl.String:
        cast = given.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
        wrong = cast.is_null()
    elif dtype == pl.Int64:  # counts may be written as 1e6
        wide = given.cast(pl.Float64, strict=False)
        cast = wide.cast(dtype, strict=False)
        wrong = cast.is_null() | (cast.cast(pl.Float64) != wide)
    elif dtype == pl.Boolean:
        words = given.cast(pl.String).str.to_lowercase()
        cast = words.replace_strict(_BOOLEANS, default=None, return_dtype=dtype)
        wrong = cast.is_null()
    else:
        cast = given.cast(dtype, strict=False)
        wrong = cast.is_null()
    wrong &= given.is_not_null()
    if wrong.any():
        row = wrong.arg_max() or 0
        raise InputError(
            f"{path}: row {first_row + row}: {name} = {format_value(given[row])}: expected {_expected_type(dtype)}"
        )
    return cast.alias(name)


def _make_plain(values: pl.Series, path: Path, *, may_be_time: bool) -> pl.Series:
    """Return strings and numbers as they are, and categories as strings."""
    dtype = values.dtype
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return values.cast(pl.String)
    is_number = dtype.is_integer() if may_be_time else dtype.is_numeric()
    if is_number or dtype in {pl.String, pl.Null} or (may_be_time and isinstance(dtype, pl.Datetime)):
        return values
    raise InputError(f"{path}: column {values.name} of {str(dtype).lower()}: expected text or numbers")


def _expected_type(dtype: Any) -> str:
    if dtype.is_temporal():
        return "a time, e.g. 2026-01-31T12:00:00Z"
    if dtype == pl.Boolean:
        return "true or false"
    return "a whole number" if dtype == pl.Int64 else "a number" if dtype == pl.Float64 else "text"
