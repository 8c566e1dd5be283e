"""The build database, which only a run writes."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from warehouse.connection import OFFLINE, WRITING, transaction, wal_path
from warehouse.engine.file_format import refuse_later_file, refuse_unopenable_file
from warehouse.engine.tested_versions import warn_if_untested
from warehouse.errors import InputError, explain_disk_error, one_line
from warehouse.files.aside import move_aside
from warehouse.files.atomic import write_atomically
from warehouse.home import Home
from warehouse.load import fingerprint_tables, read_core_columns
from warehouse.migrations import create_tables, has_tables, is_current, refuse_later_version
from warehouse.rows import fetch_column, fetch_count
from warehouse.sql_values import quote_name, quote_names, quote_value

# tables that a run cannot fill again: the history of runs, and registered sweeps; a group is kept whole or not at all
_KEPT = (("run", "run_change", "run_left_out"), ("sweep", "sweep_part", "sweep_device"))
_NO_DIGEST = "0" * 64

_log = logging.getLogger(__name__)


@contextmanager
def open_build(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the build database.

    If it is lost or cannot be read, it is copied from a snapshot. If an earlier version made it, it is rebuilt: its
    tables are empty until a run fills them from the catalog.

    Raises
    ------
    InputError
        A later version made it, or the disk does not let it be written.
    RunError
        Another process has the file open, or the disk is full.
    """
    warn_if_untested()
    if home.build.exists() and not home.build.is_file():
        set_aside(home)
    if not home.build.exists():
        _copy_snapshot(home)
    with _connect_to_current(home) as connection:
        connection.execute("set TimeZone = 'UTC'")
        create_tables(connection)
        yield connection


def rebuild(home: Home) -> None:
    """Replace a build database of an earlier version by one with empty tables, but for its runs and sweeps.

    The history of runs and the registered sweeps are carried over if their columns fit.
    """
    with write_atomically(home.build, sync=True) as partial:
        with duckdb.connect(str(partial), config=WRITING) as connection:
            connection.execute("set TimeZone = 'UTC'")
            create_tables(connection)
            connection.execute(f"attach {quote_value(home.build)} as earlier (read_only)")
            left_behind = [table for group in _KEPT if not _carry_over(connection, group) for table in group]
            connection.execute("detach earlier")
        wal_path(home.build).unlink(missing_ok=True)
    loss = f", without {', '.join(f'core.{table}' for table in left_behind)}" if left_behind else ""
    _log.warning("%s was made by an earlier version; rebuilt from the catalog%s", home.build.name, loss)


def set_aside(home: Home) -> None:
    """Rename a build database that cannot be read."""
    broken = move_aside(home.build)
    wal_path(home.build).unlink(missing_ok=True)
    _log.warning("%s cannot be read and was moved to %s", home.build.name, broken.name)


def is_pulled(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a snapshot was pulled from a lake: then it names the lake's writers."""
    writers = "select count(*) from duckdb_tables() where schema_name = 'core' and table_name = 'writer'"
    return bool(fetch_count(connection, writers))


def _connect_to_current(home: Home) -> duckdb.DuckDBPyConnection:
    """Open the file; rebuild it first if it is of an earlier version."""
    connection = _connect(home)
    try:
        refuse_later_version(home.build, connection)
        if not has_tables(connection) or is_current(connection):
            return connection
    except BaseException:
        connection.close()
        raise
    connection.close()
    rebuild(home)
    return duckdb.connect(str(home.build), config=WRITING)


def _connect(home: Home) -> duckdb.DuckDBPyConnection:
    """Open the file; replace it by a copy of a snapshot if it is damaged."""
    try:
        return duckdb.connect(str(home.build), config=WRITING)
    except duckdb.Error as error:
        refuse_unopenable_file(home.build)
        if trouble := explain_disk_error(error):  # with the disk, not with the file
            raise trouble from None
        set_aside(home)
        _copy_snapshot(home)
        return duckdb.connect(str(home.build), config=WRITING)


def _copy_snapshot(home: Home) -> None:
    """Copy the published snapshot, or the newest kept one that can be read; without one, the tables begin empty."""
    kept = sorted(home.snapshots.glob("*.duckdb"), reverse=True)
    for path in (path for path in (home.snapshot, *kept) if path.is_file()):
        try:
            with duckdb.connect(str(path), read_only=True, config=OFFLINE) as connection:
                fingerprint_tables(connection)
                if is_pulled(connection):
                    raise InputError(f"{home.path}: holds what was pulled from a lake; expected a home of its own")
        except duckdb.Error as error:
            refuse_later_file(path)
            _log.warning("%s cannot be read: %s", path.name, one_line(error))
            continue
        with write_atomically(home.build) as partial:
            shutil.copyfile(path, partial)
        return


def _carry_over(connection: duckdb.DuckDBPyConnection, tables: tuple[str, ...]) -> bool:
    """Copy the rows of tables of the attached database `earlier`; False if they do not fit."""
    columns = read_core_columns(connection)
    of_earlier = "select column_name from duckdb_columns() where database_name = 'earlier' and table_name = ?"
    try:
        with transaction(connection):
            for table in tables:
                there = fetch_column(connection, of_earlier, [table])
                if not there:
                    continue
                shared = quote_names(column for column in columns[table] if column in there)
                rows = f"select {shared} from {quote_name('earlier', 'core', table)}"
                connection.execute(f"insert into {quote_name('core', table)} by name {rows}")
            if "run_change" in tables:  # a later load must not take the empty tables for loaded ones
                connection.execute("update core.run_change set inputs_sha256 = ?", [_NO_DIGEST])
    except duckdb.Error:
        return False
    return True
