"""Write rows of users' queries to standard output, in the requested format."""

import re
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Literal

import duckdb
import polars as pl
from duckdb.sqltypes import DuckDBPyType

from warehouse.files.spreadsheet import guard_text_sql
from warehouse.sql_values import quote_name, quote_value

Format = Literal["csv", "json", "parquet"]

# types that polars cannot take from DuckDB, or cannot write in a format
_AS_TEXT: dict[str, tuple[str, ...]] = {
    "csv": ("INTERVAL", "UNION", "TIME WITH TIME ZONE", "BIT", "BLOB", "LIST", "ARRAY", "STRUCT", "MAP", "[]"),
    "json": ("INTERVAL", "UNION", "TIME WITH TIME ZONE", "BIT", "BLOB"),
    "parquet": ("INTERVAL", "UNION", "TIME WITH TIME ZONE", "BIT"),
}
_EXACT = re.compile(r"DECIMAL\(\d+,\s*\d+\)|U?HUGEINT")  # numbers that would become text in JSON
_TIMES = re.compile(r"TIMESTAMP(_\w+| WITH TIME ZONE)?|DATE|TIME")
_NESTED = {"list", "array", "struct", "map"}
_ROWS_AT_ONCE = 20_000
_FARTHEST_YEAR = 262_000  # of polars
_FORMULA = re.compile(r"[=+\-@]")


def write_rows(relation: duckdb.DuckDBPyRelation, form: Format, *, raw: bool = False) -> None:
    """Write the rows in batches, so that there may be any number.

    In CSV, text that a spreadsheet would take for a formula is guarded unless `raw` is set.
    """
    is_guarded = form == "csv" and not raw
    rows = pl.scan_arrow_c_stream(_make_writable(relation, form, is_guarded=is_guarded))
    target = sys.stdout.buffer
    try:
        if form == "csv":
            rows.sink_csv(target)
        elif form == "parquet":
            rows.sink_parquet(target)
        else:
            _write_json(rows.collect_batches(maintain_order=True), target)
    except pl.exceptions.ComputeError as error:
        kind = duckdb.OutOfMemoryException if "Out of Memory Error" in str(error) else duckdb.Error
        raise kind(str(error).removeprefix("got external error: ")) from None


def write_columns(relation: duckdb.DuckDBPyRelation, columns: Sequence[str], most_rows: int) -> None:
    """Write those of the columns that exist, and at most `most_rows` rows, as Arrow IPC for this program to read."""
    found = {name: relation.columns.index(name) + 1 for name in columns if name in relation.columns}
    chosen = ", ".join(f"#{place} as {quote_name(name)}" for name, place in found.items())
    rows = relation.limit(most_rows)
    frame = pl.DataFrame(_make_writable(rows.project(chosen), "parquet")) if found else pl.DataFrame()
    frame.write_ipc(sys.stdout.buffer)


def _write_json(batches: Iterator[pl.DataFrame], target: IO[bytes]) -> None:
    """Write all rows as one list."""
    between = b"["
    for batch in batches:
        for some in batch.iter_slices(_ROWS_AT_ONCE) if len(batch) else ():  # a million rows take a gigabyte of text
            target.write(between + some.write_json().encode()[1:-1])
            between = b","
    target.write(b"]\n" if between == b"," else b"[]\n")


def _make_writable(
    relation: duckdb.DuckDBPyRelation, form: Format, *, is_guarded: bool = False
) -> duckdb.DuckDBPyRelation:
    """Return the relation with unique column names, and types that can be written."""
    columns: dict[str, str] = {}
    for place, (name, kind) in enumerate(zip(relation.columns, relation.types, strict=True), start=1):
        shown = f"'{name}" if is_guarded and _FORMULA.match(name) else name
        unique = shown if shown not in columns else f"{shown}_{place}"
        written = _cast_column(f"#{place}", kind, form, name)
        columns[unique] = guard_text_sql(f"{written}::varchar") if is_guarded and _is_text(kind, written) else written
    return relation.project(", ".join(f"{column} as {quote_name(name)}" for name, column in columns.items()))


def _is_text(kind: DuckDBPyType, written: str) -> bool:
    """Whether a column is written as text."""
    return kind.id in {"varchar", "enum"} or written.endswith("as varchar)")


def _cast_column(column: str, kind: DuckDBPyType, form: Format, name: str) -> str:
    """Return SQL for a column, cast to a type that can be written."""
    text = str(kind)
    if any(word in text for word in _AS_TEXT[form]):
        return f"cast({column} as varchar)"
    if _TIMES.fullmatch(text) and (form != "parquet" or text == "TIMESTAMP_S"):
        return _check_range(column, text, name)
    if form == "json" and (kind.id in _NESTED or _EXACT.fullmatch(text)):
        return f"cast({column} as {_json_type(kind)})"
    return column


def _json_type(kind: object) -> str:
    """Return the type to cast a value to for JSON: numbers are numbers, times are text."""
    text = str(kind)
    if isinstance(kind, DuckDBPyType) and kind.id in _NESTED:
        parts = [(name, _json_type(part)) for name, part in kind.children]
        if kind.id == "list":
            return f"{parts[0][1]}[]"
        if kind.id == "array":
            return f"{parts[0][1]}[{parts[1][1]}]"
        fields = [f"{quote_name(name)} {part}" if kind.id == "struct" else part for name, part in parts]
        return f"{kind.id}({', '.join(fields)})"
    return "double" if _EXACT.fullmatch(text) else "varchar" if _TIMES.fullmatch(text) else text


def _check_range(column: str, kind: str, name: str) -> str:
    """Return SQL for a column of dates or times that raises an error if polars cannot hold one of them."""
    fits = f"{column} < time '24:00:00'"
    if kind != "TIME":
        fits = f"isfinite({column}) and abs(year({column})) <= {_FARTHEST_YEAR}"
    beyond = quote_value(f"column {name}: a time that this format cannot hold; cast it to varchar")
    return f"case when {column} is null or ({fits}) then {column} else error({beyond}) end"
