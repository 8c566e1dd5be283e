"""Fetch rows of DuckDB, always all of them: on DuckDB 2 an open result blocks the next statement."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

Parameters = Sequence[object] | Mapping[str, object]


def fetch_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters | None = None
) -> list[tuple[Any, ...]]:
    """Return every row of a query."""
    return connection.execute(sql, parameters).fetchall()


def fetch_row(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters | None = None
) -> tuple[Any, ...] | None:
    """Return the first row of a query, None if it has none."""
    rows = fetch_rows(connection, sql, parameters)
    return rows[0] if rows else None


def fetch_value(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters | None = None) -> Any:
    """Return the first column of the first row of a query, None if it has no row."""
    row = fetch_row(connection, sql, parameters)
    return row[0] if row else None


def fetch_column(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Parameters | None = None) -> list[Any]:
    """Return the first column of every row of a query."""
    return [row[0] for row in fetch_rows(connection, sql, parameters)]


def fetch_count(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """Return the integer that a query gives, 0 if it gives none."""
    return int(fetch_value(connection, sql) or 0)
