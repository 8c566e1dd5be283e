"""How databases are opened: settings, transactions, the write-ahead log."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from warehouse.engine.file_format import STORAGE

Config = dict[str, str | bool | int | float | list[str]]

OFFLINE: Config = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}

WRITING: Config = {**OFFLINE, "storage_compatibility_version": STORAGE, "memory_limit": "1500MB"}


def wal_path(database: Path) -> Path:
    """Return the write-ahead log: what was committed to a database and is not yet in its own file."""
    return database.with_name(f"{database.name}.wal")


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit everything that the block does, or nothing."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
