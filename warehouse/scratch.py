"""A warehouse in memory that reads a snapshot, for settings that the snapshot lacks, by the same views and formulas."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from warehouse.connection import OFFLINE, Config
from warehouse.rows import fetch_column
from warehouse.sql_files import find_sources, load_all_sql, sort_views
from warehouse.sql_values import quote_name, quote_value

_CONFIG: Config = {**OFFLINE, "memory_limit": "2GB"}
_TABLES = "select table_name from duckdb_tables() where database_name = 'published' and schema_name = 'core'"
_VIEWS = "select view_name from duckdb_views() where schema_name = 'core'"


class _Stream:
    """What DuckDB needs to see of a frame, so that it does not import pyarrow."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: Any = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


@contextmanager
def open_scratch(
    snapshot: Path, only: Mapping[str, str], own: Mapping[str, pl.DataFrame]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory whose tables of core are those of a snapshot, but for some, and that has the formulas.

    Parameters
    ----------
    snapshot
        The snapshot, which nothing is written to.
    only
        Condition on the rows of a table of the snapshot, by its name without the schema.
    own
        Frames that take the place of tables, or are added to them, likewise.
    """
    with duckdb.connect(config=_CONFIG) as connection:
        connection.execute("set enable_progress_bar = false")
        connection.execute(f"attach {quote_value(snapshot)} as published (read_only)")
        connection.execute("create schema core; create schema mart")
        for table in fetch_column(connection, _TABLES):
            if table not in own:
                where = only.get(table, "true")
                source = quote_name("published", "core", table)
                connection.execute(f"create view {quote_name('core', table)} as from {source} where {where}")
        for table, frame in own.items():
            add_table(connection, table, frame)
        for sql in load_all_sql("functions").values():
            connection.execute(sql)
        yield connection


def add_table(connection: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame) -> None:
    """Make a frame a table of core of a scratch database, in place of one of that name."""
    if table in fetch_column(connection, _VIEWS):
        connection.execute(f"drop view {quote_name('core', table)}")
    connection.register("given", _Stream(frame))
    connection.execute(f"create or replace table {quote_name('core', table)} as from given")
    connection.unregister("given")


def add_view(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Make a view of mart in a scratch database, after those that it reads."""
    ordered = dict(sort_views())
    needed = {f"mart.{name}"}
    for view in reversed(list(ordered)):
        if view in needed:
            needed.update(source for source in find_sources(ordered[view]) if source in ordered)
    for view, sql in ordered.items():
        if view in needed:
            connection.execute(sql)
