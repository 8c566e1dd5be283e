"""Tables and views of the lake, made from those of a home."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from warehouse.digest import digest_of
from warehouse.errors import InputError
from warehouse.migrations import read_table_version
from warehouse.rows import fetch_column, fetch_count, fetch_rows
from warehouse.sql_files import fill_sql, load_all_sql, load_sql, sort_views
from warehouse.sql_values import quote_name, quote_names, quote_value, write_values

# tables whose rows name files of their home
LOCAL_TABLES = {"sweep", "sweep_part", "sweep_device"}

_COLUMN_COMMENTS = re.compile(r"^comment on column .*;\n?", re.MULTILINE)  # DuckLake has none on views
# tables whose rows are shown only from writers that describe this device, model or precision alike
_DESCRIBED = {
    "hardware": ("device", "hardware_id"),
    "calibration": ("device", "hardware_id"),
    "runnable_precision": ("device", "hardware_id"),
    "model": ("model", "model_id"),
    "layer_group": ("model", "model_id"),
    "model_shard": ("model", "model_id"),
    "op_set": ("model", "op_set_id"),
    "op_shape": ("model", "model_id"),
    "precision": ("precision", "precision_id"),
    "precision_part": ("precision", "precision_id"),
}


@dataclass(frozen=True)
class Layout:
    """Columns, keys and comments of the tables of a home, and the digest of what computes its costs."""

    columns: dict[str, list[str]]
    keys: dict[str, list[str]]
    comments: dict[str, str]
    costs_sha256: str


def update_tables(connection: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    """Create the lake's tables if it has none, and replace its views if they are not those of this version."""
    if not _has_tables(connection):
        for schema in ("pushed", "core", "mart"):
            connection.execute(f"create schema if not exists {schema}")
        connection.execute(load_sql("lake/state"))
        connection.execute("insert into pushed.lake values (?, ?, '')", [*read_table_version()])
        connection.execute(load_sql("lake/writer", schema="pushed"))
        for table, columns in layout.columns.items():
            pushed, comment = quote_name("pushed", table), quote_value(f"rows of core.{table}, of every writer")
            connection.execute(f"create table {pushed} as {select_own_rows(table, columns)} limit 0", {"writer": ""})
            connection.execute(f"comment on table {pushed} is {comment}")
    refuse_other_version(connection)
    views = _write_views(layout)
    digest = digest_of(views)
    if fetch_column(connection, "select views_sha256 from pushed.lake") != [digest]:
        for view in views:
            connection.execute(view)
        connection.execute("update pushed.lake set views_sha256 = ?", [digest])


def refuse_other_version(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise `InputError` if the lake is empty, or its tables are of another version."""
    if not _has_tables(connection):
        raise InputError("lake: nothing was pushed to it yet; `rooflines lake push` does")
    own, todo = read_table_version(), "homes push to a new lake, or get the version that this one was made by"
    ((number,),) = fetch_rows(connection, "select schema_version from pushed.lake")
    if number != own.number:
        other = "an older" if number < own.number else "a newer"
        raise InputError(f"lake: has tables of {other} version ({number}, expected {own.number}); {todo}")
    if fetch_column(connection, "select tables_sha256 from pushed.lake") != [own.sha256]:
        raise InputError(f"lake: has other tables than this version; {todo}")


def list_writers(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the names of the lake's writers."""
    return fetch_column(connection, "select distinct writer from pushed.writer order by 1")


def select_own_rows(table: str, columns: Sequence[str]) -> str:
    """Return the query of a home's rows of a table for `$writer`, with ids that mean the same in every home."""
    own = {
        column: f"if(source_id like 'shipped/%', {column}, $writer || '/' || {column})"
        for column in ("source_id", "measurement_id", "step_measurement_id", "serving_id")
    }
    if "source_id" not in columns:  # estimates of runs of engines, none of which ship
        own["serving_id"] = "$writer || '/' || serving_id"
    if table == "workload":
        own["models"] = "coalesce(models, (select list(model_id order by model_id) from home.core.model))"
    chosen = ", ".join(f"{own.get(column, quote_name(column))} as {quote_name(column)}" for column in columns)
    where = " where false" if table in LOCAL_TABLES else ""
    return f"select $writer as writer, {chosen} from {quote_name('home', 'core', table)}{where}"


def _has_tables(connection: duckdb.DuckDBPyConnection) -> bool:
    tables = "select count(*) from duckdb_tables() where database_name = 'lake' and schema_name = 'pushed'"
    return bool(fetch_count(connection, f"{tables} and table_name = 'lake'"))


def _write_views(layout: Layout) -> list[str]:
    """Return the statements that make the lake's views, each after what it reads."""
    special = load_all_sql("lake/core")
    core = [special.get(table) or _write_core_view(table, layout) for table in layout.columns]
    comments = [
        f"comment on view {quote_name('core', table)} is {quote_value(layout.comments[table])}"
        for table in layout.columns
    ]
    mart = [fill_sql(_COLUMN_COMMENTS.sub("", sql), parts="") for _, sql in sort_views()]
    return [load_sql("lake/agreed"), *core, *comments, *load_all_sql("functions").values(), *mart]


def _write_core_view(table: str, layout: Layout) -> str:
    columns, keys = (
        ", ".join(quote_name("own", name) for name in names[table]) for names in (layout.columns, layout.keys)
    )
    names = {
        "view": quote_name("core", table),
        "table": quote_name("pushed", table),
        "columns": columns,
        "keys": keys,
    }
    if table not in _DESCRIBED:
        return load_sql("lake/latest", **names)
    kind, key = _DESCRIBED[table]
    return write_values(load_sql("lake/latest_agreed", **names, id=quote_names([key])), {"kind": kind})
