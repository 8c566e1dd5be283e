"""Results of users' queries, written as they asked."""

import contextlib
import io
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import duckdb

if TYPE_CHECKING:
    import polars as pl

from warehouse.errors import InputError, one_line
from warehouse.extensions import reason_without
from warehouse.sandbox import ask
from warehouse.store import lost_files, quoted

Format = Literal["table", "csv", "json", "parquet"]

# Types that polars cannot take over from DuckDB, or cannot write in a format.
_AS_TEXT: dict[str, tuple[str, ...]] = {
    "csv": ("INTERVAL", "UNION", "TIME WITH TIME ZONE", "BIT", "BLOB", "LIST", "ARRAY", "STRUCT", "MAP", "[]"),
    "json": ("INTERVAL", "UNION", "TIME WITH TIME ZONE", "BIT", "BLOB"),
    "parquet": ("INTERVAL", "UNION", "TIME WITH TIME ZONE", "BIT"),
}
_EXACT = re.compile(r"DECIMAL\(\d+,\s*\d+\)|\bU?HUGEINT\b")  # numbers that JSON would hold as text
_MAX_ROWS = 40


def write_result(connection: duckdb.DuckDBPyConnection, sql: str, form: Format, out: Path | None = None) -> None:
    """Run a statement and write its rows to a file or to standard output.

    Raises
    ------
    InputError
        The statement cannot be run, or its result cannot be written as asked.
    """
    if form == "parquet" and out is None and sys.stdout.isatty():
        raise InputError("--format parquet: expected --out FILE, or standard output sent to a file")
    try:
        relation = ask(connection, sql)
        if relation is None:
            raise InputError("query: the statement has no result; expected one that returns rows")
        if form == "table":
            _write_text(_table(relation), out)
        else:
            _write_frame(relation, form, out)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        if ".parquet" in str(error):
            _refuse_lost_files(connection)
        if "httpfs" in str(error) and (reason := reason_without("httpfs", "s3")):
            raise InputError(f"query: sweeps that lie in a bucket: {reason}") from None
        raise InputError(f"query: {one_line(error)}") from None
    except OSError as error:
        if out is None:
            raise
        raise InputError(f"--out: {out}: {error.strerror or error}; expected a file that can be written") from None


def _refuse_lost_files(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise `InputError` where a sweep lacks a file; DuckDB would say that it may not look for it."""
    for sweep_id, files in lost_files(connection).items():
        mend = f"the same `rooflines sweep` makes it again, `rooflines sweep --remove {sweep_id}` forgets the sweep"
        raise InputError(f"query: sweep {sweep_id}: {files[0]} is gone; {mend}")


def _table(relation: duckdb.DuckDBPyRelation) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        relation.show(max_width=max(80, shutil.get_terminal_size((160, 0)).columns), max_rows=_MAX_ROWS)
    return text.getvalue()


def _write_frame(relation: duckdb.DuckDBPyRelation, form: Format, out: Path | None) -> None:
    """Write the rows some at a time, so that there may be any number; a file is there when it is whole."""
    import polars as pl  # noqa: PLC0415

    rows = pl.scan_arrow_c_stream(_castable(relation, form))
    is_file = out is not None and (out.is_file() or not out.exists())
    partial = out.with_name(f".{out.name}.partial") if out is not None and is_file else out
    try:
        with partial.open("wb") if partial is not None else contextlib.nullcontext(sys.stdout.buffer) as target:
            if form == "csv":
                rows.sink_csv(target)
            elif form == "parquet":
                rows.sink_parquet(target)
            else:
                _write_json(rows.collect_batches(maintain_order=True), target)
                target.write(b"" if out else b"\n")
        if partial is not None and out is not None and is_file:
            partial.replace(out)
    except pl.exceptions.ComputeError as error:
        kind = duckdb.OutOfMemoryException if "Out of Memory Error" in str(error) else duckdb.Error
        raise kind(str(error).removeprefix("got external error: ")) from None
    finally:
        if partial is not None and is_file:
            partial.unlink(missing_ok=True)


def _write_json(batches: Iterator["pl.DataFrame"], target: IO[bytes]) -> None:
    """Write one list of all rows."""
    between = b"["
    for batch in batches:
        if len(batch):
            target.write(between + batch.write_json().encode()[1:-1])
            between = b","
    target.write(b"]" if between == b"," else b"[]")


def _castable(relation: duckdb.DuckDBPyRelation, form: Format) -> duckdb.DuckDBPyRelation:
    """Return the relation with columns that have names of their own and types that can be written."""
    columns: dict[str, str] = {}
    for place, (name, kind) in enumerate(zip(relation.columns, map(str, relation.types), strict=True), start=1):
        unique = name if name not in columns else f"{name}_{place}"
        columns[unique] = f"#{place}"
        if any(word in kind for word in _AS_TEXT[form]):
            columns[unique] = f"cast(#{place} as varchar)"
        elif form == "json" and _EXACT.search(kind):
            columns[unique] = f"cast(#{place} as {_EXACT.sub('DOUBLE', kind)})"
    return relation.project(", ".join(f"{column} as {quoted(name)}" for name, column in columns.items()))


def _write_text(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, "utf-8")
