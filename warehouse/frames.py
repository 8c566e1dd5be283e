"""DuckDB results as polars frames, without pyarrow."""

import duckdb
import polars as pl


def read_frame(connection: duckdb.DuckDBPyConnection, sql: str) -> pl.DataFrame:
    """Return all rows of a query."""
    return pl.DataFrame(connection.sql(sql))
