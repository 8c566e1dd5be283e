"""The migrations of sql/migrations, and which of them a database has seen."""

from pathlib import Path

import duckdb

from warehouse.connection import transaction
from warehouse.engine.file_format import UPGRADE
from warehouse.errors import LaterVersionError
from warehouse.rows import fetch_column, fetch_count
from warehouse.sql_files import sql_files


def refuse_later_migrations(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Raise `LaterVersionError` where a database has tables or columns that this version does not know."""
    later = _applied(connection) - {_version_of(migration) for migration in sql_files("migrations")}
    if later:
        raise LaterVersionError(f"{path}: made by a later version of rooflines, of migration {max(later)}; {UPGRADE}")


def migrate(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Apply the migrations that are pending, each in a transaction of its own, and name them."""
    pending = pending_migrations(connection)
    for path in pending:
        with transaction(connection):
            connection.execute(path.read_text("utf-8"))
            row = [_version_of(path), path.name]
            connection.execute("insert into core.schema_migration (version, name) values (?, ?)", row)
    return [path.name for path in pending]


def pending_migrations(connection: duckdb.DuckDBPyConnection) -> list[Path]:
    """Return the migrations that a database has not seen."""
    applied = _applied(connection)
    return [path for path in sql_files("migrations") if _version_of(path) not in applied]


def _applied(connection: duckdb.DuckDBPyConnection) -> set[int]:
    has_table = "select count(*) from duckdb_tables() where schema_name = 'core' and table_name = 'schema_migration'"
    if not fetch_count(connection, has_table):
        return set()
    return set(fetch_column(connection, "select version from core.schema_migration"))


def _version_of(migration: Path) -> int:
    return int(migration.name.split("_")[0])
