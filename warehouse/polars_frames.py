"""Pass DuckDB results to polars without pyarrow, some rows at a time if there are many."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import duckdb
import polars as pl
from polars.io.plugins import register_io_source

from warehouse.rows import fetch_value
from warehouse.sql_values import quote_name, write_values

_BATCH = 500_000  # rows


class ArrowStream:
    """A frame as DuckDB can read it without pyarrow."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def read_frame(connection: duckdb.DuckDBPyConnection, sql: str, **values: object) -> pl.DataFrame:
    """Return all rows of a query, with these values for its `$names`.

    They are written as literals: DuckDB passes the rows of a query with parameters on as objects of Python, which takes
    50 times as long for half a million rows.
    """
    return pl.DataFrame(connection.sql(write_values(sql, values) if values else sql))


@contextmanager
def register_frame(connection: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame) -> Iterator[None]:
    """Let queries read a frame by a name."""
    connection.register(name, ArrowStream(frame))
    try:
        yield
    finally:
        connection.unregister(name)


def scan_object(connection: duckdb.DuckDBPyConnection, name: str) -> pl.LazyFrame:
    """Return the rows of a table or view, sorted; a large table is read in batches, in the order of its rows."""
    relation = quote_name(*name.split("."))
    last = fetch_value(connection, f"select max(rowid) from {relation}") if name.startswith("core.") else None
    if last is None or last < _BATCH:
        rows = read_frame(connection, f"from {relation}")
        return rows.sort(column for column, dtype in rows.schema.items() if not dtype.is_nested()).lazy()

    def read_batches() -> Iterator[pl.DataFrame]:
        for start in range(0, last + 1, _BATCH):
            sql = f"from {relation} where rowid between $first and $last"
            yield read_frame(connection, sql, first=start, last=start + _BATCH - 1)

    return scan_frames(read_frame(connection, f"from {relation} limit 0").schema, read_batches)


def scan_frames(schema: Mapping[str, Any], frames: Callable[[], Iterator[pl.DataFrame]]) -> pl.LazyFrame:
    """Return the rows of frames that are made one after the other, when they are read."""

    def read(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        for frame in frames():
            kept = frame.head(n_rows) if n_rows is not None else frame
            kept = kept.filter(predicate) if predicate is not None else kept
            yield kept.select(with_columns) if with_columns is not None else kept
            if n_rows is not None:
                n_rows -= min(n_rows, len(frame))
                if not n_rows:
                    return

    return register_io_source(read, schema=dict(schema))
