"""The published snapshot: written beside the old one, put in its place at once, read in a sandbox."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from warehouse.errors import InputError, one_line
from warehouse.home import Home
from warehouse.store import OFFLINE, WRITING, Config, write_ahead_log

_SANDBOX: Config = {
    **OFFLINE,
    "enable_external_access": False,
    "memory_limit": "2GB",
    "threads": min(4, os.cpu_count() or 1),
}


def write_candidate(home: Home, run_id: str) -> Path:
    """Copy the build database into a file that `promote` can publish, in which the run has succeeded.

    Nobody may have the build database open: only then its file holds everything.
    """
    candidate = home.snapshot.with_suffix(".candidate")
    write_ahead_log(candidate).unlink(missing_ok=True)
    try:
        shutil.copyfile(home.build, candidate)
        with duckdb.connect(str(candidate), config=WRITING) as connection:
            connection.execute("update core.run set status = 'succeeded' where run_id = ?", [run_id])
    except BaseException:
        candidate.unlink(missing_ok=True)
        write_ahead_log(candidate).unlink(missing_ok=True)
        raise
    _sync(candidate)
    return candidate


def promote(candidate: Path, home: Home) -> None:
    """Publish a candidate: readers that are at work keep the old file, the next see the new one."""
    candidate.replace(home.snapshot)
    _sync(home.path)


@contextmanager
def open_snapshot(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a snapshot for statements of any origin.

    They can read this file and nothing else: no other file, no network, no extension, no setting.

    Raises
    ------
    InputError
        There is no snapshot, or it cannot be read.
    """
    if not path.exists():
        raise InputError(f"{path}: no such snapshot; `rooflines run` makes it")
    try:
        connection = duckdb.connect(str(path), read_only=True, config=_SANDBOX)
    except duckdb.Error as error:
        raise InputError(f"{path}: not a snapshot that can be read: {one_line(error)}") from None
    with connection:
        connection.execute("set global TimeZone = 'UTC'")
        connection.execute("set search_path = 'mart,core'")
        connection.execute("set lock_configuration = true")
        yield connection


def published_run(connection: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    """Return id and digest of inputs of the run that made a snapshot."""
    last = "select run_id, inputs_sha256 from core.run where status = 'succeeded' order by run_number desc limit 1"
    run_id, inputs_sha256 = connection.execute(last).fetchone() or ("", "")
    return run_id, inputs_sha256


def last_published(home: Home) -> tuple[str, str]:
    """Return id and digest of inputs of the published run; two empty texts where no snapshot can be read."""
    try:
        with open_snapshot(home.snapshot) as connection:
            return published_run(connection)
    except (duckdb.Error, InputError):
        return "", ""


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
