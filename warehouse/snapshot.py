"""The published snapshot: written beside the old one, put in its place at once, read in a sandbox."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from warehouse.connection import OFFLINE, WRITING, Config, wal_path
from warehouse.engine.file_format import STORAGE, refuse_later_file
from warehouse.engine.tested_versions import warn_if_untested
from warehouse.errors import InputError, explain_disk_error, one_line
from warehouse.files.atomic import replace_file, sync_file, sync_folder
from warehouse.files.bucket import BucketPath, enable_buckets
from warehouse.home import Home
from warehouse.migrations import pending_migrations
from warehouse.rows import fetch_row, fetch_rows
from warehouse.sandbox.question import MEMORY_LIMIT, parse_memory
from warehouse.sql_values import file_pattern, quote_value
from warehouse.sweeps.files import list_registered_files

KEPT_SNAPSHOTS = 3
_THREADS = min(4, os.cpu_count() or 1)

_SANDBOX: Config = {
    **OFFLINE,
    "max_temp_directory_size": "10GB",  # what does not fit the memory while it is sorted or grouped
    "python_enable_replacements": False,  # no variable of this program is a table
    "allow_persistent_secrets": False,
    "allow_unredacted_secrets": False,
}


def write_candidate(home: Home, run_id: str) -> Path:
    """Copy the build database into a file that `promote` can publish, in which the run has succeeded.

    Nobody may have the build database open: only then its file holds everything.
    """
    succeeded = "update core.run set status = 'succeeded' where run_id = ?"
    return _copy_candidate(home, home.build, lambda connection: connection.execute(succeeded, [run_id]))


def candidate_path(home: Home) -> Path:
    """Return the file of a snapshot in the making."""
    return home.snapshot.with_suffix(".candidate")


def write_changed_copy(home: Home, change: Callable[[duckdb.DuckDBPyConnection], object]) -> Path:
    """Copy the snapshot into a file that `promote` can publish, and change that."""
    return _copy_candidate(home, home.snapshot, change)


def fill_candidate(home: Home, connection: duckdb.DuckDBPyConnection, fill: Callable[[], object]) -> Path:
    """Make a database that `promote` can publish, and fill it over a connection that uses it meanwhile."""
    with _create_candidate(home) as candidate:
        connection.execute(f"attach {quote_value(candidate)} as candidate (storage_version '{STORAGE}')")
        connection.execute("use candidate")
        fill()
        connection.execute("use memory")
        connection.execute("detach candidate")
    return candidate


def _copy_candidate(home: Home, source: Path, change: Callable[[duckdb.DuckDBPyConnection], object]) -> Path:
    with _create_candidate(home) as candidate:
        shutil.copyfile(source, candidate)
        with duckdb.connect(str(candidate), config=WRITING) as connection:
            change(connection)
    return candidate


def change_candidate(candidate: Path, change: Callable[[duckdb.DuckDBPyConnection], object]) -> None:
    """Change a candidate that nobody has open."""
    with duckdb.connect(str(candidate), config=WRITING) as connection:
        change(connection)
    sync_file(candidate)


@contextmanager
def _create_candidate(home: Home) -> Iterator[Path]:
    """Give the path of a candidate, which is gone where the block fails, and on the disk where it ends."""
    candidate = candidate_path(home)
    for file in (candidate, wal_path(candidate)):
        file.unlink(missing_ok=True)
    try:
        yield candidate
    except BaseException:
        for file in (candidate, wal_path(candidate)):
            file.unlink(missing_ok=True)
        raise
    sync_file(candidate)


def promote(candidate: Path, home: Home, run_id: str, kept: int = KEPT_SNAPSHOTS) -> None:
    """Publish a candidate: readers that are at work keep the old file, the next see the new one.

    It stands in HOME/snapshots too, with the ones before it, of which the oldest go.
    """
    home.snapshots.mkdir(exist_ok=True)
    own = home.snapshots / f"{run_id}.duckdb"
    partial = own.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(candidate, partial)
    except OSError:  # a disk without hard links
        shutil.copyfile(candidate, partial)
    replace_file(candidate, home.snapshot)
    partial.replace(own)  # only now: a run that is cut off before has published nothing
    sync_folder(home.path)
    for old in list_snapshots(home)[max(kept, 1) :]:
        old.unlink(missing_ok=True)


def list_snapshots(home: Home) -> list[Path]:
    """Return the snapshots of the last runs, the newest first."""
    kept = sorted(home.snapshots.glob("*.duckdb"), reverse=True)
    try:
        with open_snapshot(home.snapshot) as connection:  # runs are named by their time, and a clock can step back
            numbers = dict(fetch_rows(connection, "select run_id, run_number from core.run"))
    except (duckdb.Error, InputError):
        return kept
    return sorted(kept, key=lambda path: numbers.get(path.stem, 0), reverse=True)


def find_snapshot(home: Home, run: str | None) -> Path:
    """Return the snapshot of a run, which the beginning of its id names; the published one where none is named.

    Raises
    ------
    InputError
        No snapshot that is kept is of this run, or several are.
    """
    if run is None:
        return home.snapshot
    kept = list_snapshots(home)
    named = [path for path in kept if path.stem.startswith(run)]
    if len(named) == 1 and run:
        return named[0]
    known = ", ".join(path.stem for path in kept) or "none, as nothing was published yet"
    raise InputError(f"--as-of: {run}: expected one of the runs whose snapshots are kept: {known}")


@contextmanager
def open_snapshot(
    path: Path, memory_limit: str = MEMORY_LIMIT, threads: int = _THREADS, spill: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a snapshot for statements of any origin.

    They can read this file, the files of its sweeps and nothing else: no other file, no network, no extension, no
    setting, and take so much memory and so many threads. What does not fit the memory goes to the folder `spill`, else
    beside the snapshot. Users' statements go through `sandbox.answer`, or else they could write to those files.

    Raises
    ------
    InputError
        There is no snapshot, or it cannot be read; or this is no amount of memory.
    """
    parse_memory(memory_limit)  # an amount
    warn_if_untested()
    if not path.exists():
        raise InputError(f"{path}: no such snapshot; `rooflines run` makes it")
    if not path.is_file():
        raise InputError(f"{path}: no file; expected a snapshot, or nothing, and `rooflines run` makes it")
    config: Config = {**_SANDBOX, "memory_limit": memory_limit, "threads": threads}
    if spill is not None:
        config["temp_directory"] = str(spill)
    try:
        connection = duckdb.connect(str(path), read_only=True, config=config)
    except duckdb.Error as error:
        refuse_later_file(path)
        mend = "" if explain_disk_error(error) else "; `rooflines run` mends it"
        raise InputError(f"{path}: not a snapshot that can be read: {one_line(error)}{mend}") from None
    with connection:
        connection.execute("set global TimeZone = 'UTC'")
        connection.execute("set search_path = 'mart,core'")
        connection.execute("set enable_progress_bar = false")  # it would stand among the rows on standard output
        files = [file for files in list_registered_files(connection).values() for file in files]
        if files:
            if any(isinstance(file, BucketPath) for file in files):
                with suppress(InputError):  # the other views need no extension; a query of these says what is missing
                    enable_buckets(connection)
            names = {name for file in files for name in (str(file), file_pattern(file))}
            connection.execute(f"set allowed_paths = {quote_value(sorted(names))}")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        yield connection


def refuse_earlier_version(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise `InputError` where a snapshot was made by an earlier version, and may lack what this one reads."""
    if pending_migrations(connection):
        raise InputError("the snapshot was made by an earlier version; `rooflines run` renews it")


def read_published_run(connection: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    """Return id and digest of inputs of the run that made a snapshot."""
    last = "select run_id, inputs_sha256 from core.run where status = 'succeeded' order by run_number desc limit 1"
    run_id, inputs_sha256 = fetch_row(connection, last) or ("", "")
    return run_id, inputs_sha256


def find_published_run(home: Home) -> tuple[str, str]:
    """Return id and digest of inputs of the published run; two empty texts where no snapshot can be read."""
    try:
        with open_snapshot(home.snapshot) as connection:
            return read_published_run(connection)
    except (duckdb.Error, InputError):
        return "", ""
