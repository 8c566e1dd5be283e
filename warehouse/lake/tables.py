"""Tables and views of the lake, made from those of a home."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from warehouse.digest import digest_of
from warehouse.errors import InputError
from warehouse.rows import fetch_column, fetch_count, fetch_value
from warehouse.sql_files import sort_views, sql_files, sql_folder
from warehouse.sql_values import quote_value

_COLUMN_COMMENTS = re.compile(r"^comment on column .*;\n?", re.MULTILINE)  # DuckLake has none of views
# tables whose rows name files of their home
LOCAL_TABLES = {"sweep", "sweep_part"}
# tables whose rows are shown of writers that describe these alike
_DESCRIBED = {
    "hardware": ("device", "hardware_id"),
    "calibration": ("device", "hardware_id"),
    "model": ("model", "model_id"),
    "model_shard": ("model", "model_id"),
    "op_set": ("model", "op_set_id"),
    "op_shape": ("model", "model_id"),
    "precision": ("precision", "precision_id"),
}


@dataclass(frozen=True)
class Layout:
    """Columns and keys of the tables of a home, and what they mean."""

    columns: dict[str, list[str]]
    keys: dict[str, list[str]]
    comments: dict[str, str]
    costs_sha256: str


def update_tables(connection: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    """Make the lake's tables where there are none, and its views where they are not those of this version."""
    if not _is_made(connection):
        for schema in ("pushed", "core", "mart"):
            connection.execute(f"create schema if not exists {schema}")
        connection.execute(load_lake_sql("state"))
        connection.execute("insert into pushed.lake values (?, '')", [_schema_version()])
        connection.execute(load_lake_sql("writer").format(schema="pushed"))
        for table, columns in layout.columns.items():
            connection.execute(f"create table pushed.{table} as {select_own_rows(table, columns, '')} limit 0")
            connection.execute(f"comment on table pushed.{table} is 'rows of core.{table}, of every writer'")
    refuse_other_version(connection)
    views = _write_views(layout)
    digest = digest_of(views)
    if fetch_value(connection, "select views_sha256 from pushed.lake") != digest:
        for view in views:
            connection.execute(view)
        connection.execute("update pushed.lake set views_sha256 = ?", [digest])


def _write_views(layout: Layout) -> list[str]:
    """Return the statements that make the lake's views, each after what it reads."""
    core = [_write_core_view(table, layout) for table in layout.columns]
    described = [f"comment on view core.{table} is {quote_value(layout.comments[table])}" for table in layout.columns]
    functions = [path.read_text("utf-8") for path in sql_files("functions")]
    mart = [_COLUMN_COMMENTS.sub("", sql).replace("{parts}", "") for _, sql in sort_views()]
    return [load_lake_sql("agreed"), *core, *described, *functions, *mart]


def _write_core_view(table: str, layout: Layout) -> str:
    if (sql_folder() / "lake" / "core" / f"{table}.sql").exists():
        return load_lake_sql(f"core/{table}")
    columns, keys = (", ".join(f"own.{name}" for name in names[table]) for names in (layout.columns, layout.keys))
    if table not in _DESCRIBED:
        return load_lake_sql("latest").format(table=table, columns=columns, keys=keys)
    kind, key = _DESCRIBED[table]
    return load_lake_sql("latest_agreed").format(table=table, columns=columns, keys=keys, kind=kind, id=key)


def select_own_rows(table: str, columns: Sequence[str], writer: str) -> str:
    """Return the query of a home's rows of a table, with names that mean the same in every home."""
    own = {
        column: f"if(source_id like 'shipped/%', {column}, '{writer}/' || {column})"
        for column in ("source_id", "measurement_id")
    }
    if table == "workload":
        own["models"] = "coalesce(models, (select list(model_id order by model_id) from home.core.model))"
    chosen = ", ".join(f"{own.get(column, column)} as {column}" for column in columns)
    where = " where false" if table in LOCAL_TABLES else ""
    return f"select {quote_value(writer)} as writer, {chosen} from home.core.{table}{where}"


def _is_made(connection: duckdb.DuckDBPyConnection) -> bool:
    tables = "select count(*) from duckdb_tables() where database_name = 'lake' and schema_name = 'pushed'"
    return bool(fetch_count(connection, f"{tables} and table_name = 'lake'"))


def refuse_other_version(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise `InputError` if the lake is empty, or its tables are of another version."""
    if not _is_made(connection):
        raise InputError("lake: nothing was pushed to it yet; `rooflines lake push` does")
    version = fetch_value(connection, "select schema_version from pushed.lake")
    if version != _schema_version():
        other = "an older" if version < _schema_version() else "a newer"
        mend = "expected a lake of this version: homes push to a new one, or have that version too"
        raise InputError(f"lake: has tables of {other} version ({version}, not {_schema_version()}); {mend}")


def _schema_version() -> int:
    return max(int(path.name.split("_")[0]) for path in sql_files("migrations"))


def list_writers(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the names of the lake's writers."""
    return fetch_column(connection, "select distinct writer from pushed.writer order by 1")


def load_lake_sql(name: str) -> str:
    """Return a file of sql/lake."""
    return (sql_folder() / "lake" / f"{name}.sql").read_text("utf-8")
