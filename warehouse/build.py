"""The build database, which only a run writes."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from warehouse.connection import OFFLINE, WRITING, wal_path
from warehouse.engine.file_format import refuse_later_file, refuse_unopenable_file
from warehouse.engine.tested_versions import warn_if_untested
from warehouse.errors import InputError, explain_disk_error, one_line
from warehouse.home import Home
from warehouse.load import fingerprint_tables
from warehouse.migrations import migrate, refuse_later_migrations
from warehouse.rows import fetch_count

_log = logging.getLogger(__name__)


@contextmanager
def open_build(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the build database, brought up to date; start from a snapshot where it is lost or cannot be read.

    Raises
    ------
    InputError
        It was made by a later version, or the disk does not let it be written.
    RunError
        Another process has the file open, or the disk is full.
    """
    warn_if_untested()
    if home.build.exists() and not home.build.is_file():
        set_aside(home)
    if not home.build.exists():
        _start_from_snapshot(home)
    try:
        connection = duckdb.connect(str(home.build), config=WRITING)
    except duckdb.Error as error:
        refuse_unopenable_file(home.build)
        if trouble := explain_disk_error(error):  # with the disk, not with the file
            raise trouble from None
        set_aside(home)
        _start_from_snapshot(home)
        connection = duckdb.connect(str(home.build), config=WRITING)
    with connection:
        connection.execute("set TimeZone = 'UTC'")
        refuse_later_migrations(home.build, connection)
        migrate(connection)
        yield connection


def set_aside(home: Home) -> None:
    """Move a build database that cannot be read out of the way."""
    broken = home.build.with_suffix(".broken")
    if broken.is_dir():
        shutil.rmtree(broken)
    home.build.replace(broken)
    wal_path(home.build).unlink(missing_ok=True)
    _log.warning("%s cannot be read and was moved to %s", home.build.name, broken.name)


def is_pulled(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a snapshot was pulled from a lake: then it names the lake's writers."""
    writers = "select count(*) from duckdb_tables() where schema_name = 'core' and table_name = 'writer'"
    return bool(fetch_count(connection, writers))


def _start_from_snapshot(home: Home) -> None:
    """Copy the published snapshot, or the last one that is kept and whole; without one, the tables begin empty."""
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
        partial = home.build.with_suffix(".partial")
        shutil.copyfile(path, partial)
        partial.replace(home.build)
        return
