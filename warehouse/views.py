"""Create the views of mart, with their comments."""

import logging
from collections import defaultdict
from pathlib import Path

import duckdb

from warehouse.connection import OFFLINE
from warehouse.errors import InputError, one_line
from warehouse.files.bucket import enable_buckets
from warehouse.rows import fetch_column, fetch_rows
from warehouse.sql_files import fill_sql, find_sources, load_all_sql, load_sql, sort_views
from warehouse.sql_values import file_pattern, quote_name, quote_value, write_values
from warehouse.sweeps.files import find_lost_files, list_registered_files

_COMMENTS = "select schema_name || '.' || table_name, column_name, comment from duckdb_columns()"

_log = logging.getLogger(__name__)


def create_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Replace every view, and the functions that they share.

    A column without a comment of its own inherits the comment of the column of the same name in what the view reads: a
    quantity has one name and one description. A sweep that lacks a file, or whose bucket cannot be read, is left out.
    """
    views = dict(sort_views())
    existing = "select view_name from duckdb_views() where schema_name = 'mart'"
    for name in fetch_column(connection, existing):
        if f"mart.{name}" not in views:
            connection.execute(f"drop view {quote_name('mart', name)}")
    comments: dict[str, dict[str, str | None]] = defaultdict(dict)
    for table, column, comment in fetch_rows(connection, f"{_COMMENTS} where schema_name = 'core'"):
        comments[table][column] = comment
    for sql in load_all_sql("functions").values():
        connection.execute(sql)
    parts = _write_sweep_parts(connection)
    for name, sql in views.items():
        connection.execute(fill_sql(sql, parts=parts))
        own = comments[name] = _read_column_comments(connection, name)
        inherited: dict[str, str | None] = {}
        for source in find_sources(sql):
            inherited |= {column: comment for column, comment in comments[source].items() if comment}
        added = {column: inherited[column] for column, comment in own.items() if not comment and column in inherited}
        own |= added
        view = name.split(".")
        statements = [
            f"comment on column {quote_name(*view, column)} is {quote_value(comment)}"
            for column, comment in added.items()
        ]
        connection.execute(";".join(statements))


def create_views_for(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Create the views that a statement reads, without comments, and the functions that all views share."""
    views = dict(sort_views())
    wanted, found = set[str](), find_sources(sql)
    while found:
        name = found.pop()
        if name in views and name not in wanted:
            wanted.add(name)
            found += find_sources(views[name])
    for function in load_all_sql("functions").values():
        connection.execute(function)
    for name, view in views.items():
        if name in wanted:
            for statement in connection.extract_statements(fill_sql(view, parts="")):
                if statement.type == duckdb.StatementType.CREATE:
                    connection.execute(statement)


def _write_sweep_parts(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the end of mart.sweep_cost, which reads the files of every sweep that has all of them."""
    template, parts = load_sql("sweep/parts"), []
    lost = find_lost_files(connection)
    for sweep_id, files in list_registered_files(connection).items():
        part = write_values(template, {"sweep_id": sweep_id, "files": [file_pattern(file) for file in files]})
        if sweep_id in lost:
            _log.warning("sweep %s is left out: %d files are missing", sweep_id, len(lost[sweep_id]))
        elif isinstance(files[0], Path) or _is_readable(connection, sweep_id, part):
            parts.append(part)
    return "".join(parts)


def _is_readable(connection: duckdb.DuckDBPyConnection, sweep_id: str, part: str) -> bool:
    """Whether the bucket of a sweep answers; to create the view, DuckDB reads one of its files."""
    try:
        with duckdb.connect(config=OFFLINE) as other:  # a failure would end the transaction
            enable_buckets(other)
            fetch_rows(other, f"describe select null as sweep_id where false {part}")
        enable_buckets(connection)
    except (duckdb.Error, InputError) as error:
        _log.warning("sweep %s is left out: %s", sweep_id, one_line(error))
        return False
    return True


def _read_column_comments(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, str | None]:
    rows = fetch_rows(connection, f"{_COMMENTS} where schema_name = ? and table_name = ?", name.split("."))
    return {column: comment for _, column, comment in rows}
