"""The published snapshot: written beside the old one, put in its place at once, read in a sandbox."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.store import OFFLINE, Config, literal

_SANDBOX: Config = {**OFFLINE, "enable_external_access": False, "memory_limit": "4GB"}


def write_candidate(connection: duckdb.DuckDBPyConnection, home: Home) -> Path:
    """Copy the build database into a file that `promote` can publish, and return it."""
    candidate = home.snapshot.with_suffix(".candidate")
    candidate.unlink(missing_ok=True)
    build = home.build.stem
    connection.execute(f"attach {literal(str(candidate))} as candidate (storage_version 'v1.5.0')")
    try:
        connection.execute(f"copy from database {build} to candidate")
    finally:
        connection.execute("detach candidate")
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
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set lock_configuration = true")
        yield connection


def published_run(connection: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    """Return id and digest of inputs of the run that made a snapshot."""
    last = "select run_id, inputs_sha256 from core.run where status = 'succeeded' order by run_id desc limit 1"
    run_id, inputs_sha256 = connection.execute(last).fetchone() or ("", "")
    return run_id, inputs_sha256


def published_inputs(home: Home) -> str | None:
    """Return the digest of the inputs of the published run; None where no snapshot can be read."""
    try:
        with open_snapshot(home.snapshot) as connection:
            return published_run(connection)[1]
    except (duckdb.Error, InputError):
        return None


def one_line(error: BaseException) -> str:
    """Return an error's message without its line breaks."""
    return " ".join(str(error).split())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
