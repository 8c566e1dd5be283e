"""Bounds and expected times of serving runs, by the same views as every other step, in a database of its own.

The steps of runs are thousands of settings that nobody else asks for. Their ops are kept in memory for as long as they
are needed, so that the tables of the warehouse do not grow with them.
"""

from collections.abc import Callable, Mapping

import duckdb
import polars as pl

from warehouse.connection import WRITING
from warehouse.migrations import create_tables
from warehouse.polars_frames import read_frame
from warehouse.rows import fetch_column
from warehouse.sql_files import load_sql
from warehouse.sql_values import quote_name, quote_names
from warehouse.views import create_views

Frames = Mapping[str, pl.DataFrame]


class _Stream:
    """Rows that DuckDB reads without pyarrow: an object that has nothing but the stream of a frame."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def estimate_runs(
    tables: Frames, list_settings: Callable[[pl.DataFrame], pl.DataFrame], list_ops: Callable[[pl.DataFrame], Frames]
) -> pl.DataFrame:
    """Return the rows of core.serving_estimate.

    Parameters
    ----------
    tables
        Rows of tables of core, by name: serving_measurement, and what their devices, models and precisions are.
    list_settings
        Returns the settings of the steps that runs are made of, from what these steps hold.
    list_ops
        Returns the rows of core.op_shape and core.op_cost at these settings, and the ops that run apart.
    """
    with duckdb.connect(config=WRITING) as connection:
        connection.execute("set TimeZone = 'UTC'")
        create_tables(connection)
        create_views(connection)
        for name, rows in tables.items():
            _fill_table(connection, name, rows)
        steps = read_frame(connection, load_sql("serving/steps"))
        settings = list_settings(steps)
        ops = list_ops(settings)
        for name in ("op_shape", "op_cost"):
            _fill_table(connection, name, ops[name])
        for name, rows in (("serving_step", steps), ("setting_use", settings), ("apart", ops["apart"])):
            connection.register(name, _Stream(rows))
            connection.execute(f"create temp table {quote_name(f'{name}_rows')} as from {quote_name(name)}")
            connection.unregister(name)
            connection.execute(f"create temp view {quote_name(name)} as from {quote_name(f'{name}_rows')}")
        return read_frame(connection, load_sql("serving/estimate"))


def _fill_table(connection: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame) -> None:
    columns = fetch_column(connection, f"select column_name from (describe core.{table})")
    given = quote_names(column for column in columns if column in rows.columns)
    connection.register("given", _Stream(rows))
    connection.execute(f"insert into {quote_name('core', table)} by name select {given} from given")
    connection.unregister("given")
