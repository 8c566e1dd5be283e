"""The tables of core: one file of sql/migrations creates them all, and a database says which edition of it.

Until a release that file is edited. A database of an earlier edition is not altered but rebuilt (`build.rebuild`).
"""

from pathlib import Path
from typing import NamedTuple

import duckdb

from warehouse.connection import transaction
from warehouse.digest import digest_of
from warehouse.engine.file_format import UPGRADE
from warehouse.errors import LaterVersionError
from warehouse.rows import fetch_count, fetch_rows
from warehouse.sql_files import load_all_sql
from warehouse.version import strip_comments

_TABLE = "database_name = current_database() and schema_name = 'core' and table_name = 'schema_migration'"


class TableVersion(NamedTuple):
    """The number at the head of the migration's name, and a digest of its statements without comments."""

    number: int
    sha256: str


def read_table_version() -> TableVersion:
    """Return the version of the tables that `create_tables` makes."""
    name, sql = _load_migration()
    return TableVersion(int(name.split("_")[0]), digest_of([strip_comments(sql, ".sql")]))


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the schemas and the tables of core in one transaction, unless the database has them."""
    if has_tables(connection):
        return
    (name, sql), version = _load_migration(), read_table_version()
    with transaction(connection):
        connection.execute(sql)
        row = [version.number, f"{name}.sql", version.sha256]
        connection.execute("insert into core.schema_migration (version, name, sha256) values (?, ?, ?)", row)


def has_tables(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a database has tables of core, of any version."""
    return bool(fetch_count(connection, f"select count(*) from duckdb_tables() where {_TABLE}"))


def is_current(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the tables of a database are those that `create_tables` makes."""
    has_digest = f"select count(*) from duckdb_columns() where {_TABLE} and column_name = 'sha256'"
    if not fetch_count(connection, has_digest):
        return False
    applied = "select version, sha256 from core.schema_migration order by version desc limit 1"
    return fetch_rows(connection, applied) == [tuple(read_table_version())]


def refuse_later_version(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Raise `LaterVersionError` if the tables of a database are of a later version than this one knows."""
    if not has_tables(connection):
        return
    number = fetch_count(connection, "select max(version) from core.schema_migration")
    if number > read_table_version().number:
        raise LaterVersionError(f"{path}: made by a later version of rooflines, of migration {number}; {UPGRADE}")


def _load_migration() -> tuple[str, str]:
    """Return the name and the text of the only migration."""
    (migration,) = load_all_sql("migrations").items()
    return migration
