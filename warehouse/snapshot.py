"""The published snapshot: written to another file, put in place atomically, read in a sandbox."""

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
from warehouse.files.atomic import replace_file, sync_file, sync_folder, write_atomically
from warehouse.files.bucket import BucketPath, enable_buckets
from warehouse.home import Home
from warehouse.migrations import is_current
from warehouse.rows import fetch_row, fetch_rows
from warehouse.sandbox.question import MEMORY_LIMIT, parse_memory
from warehouse.sql_values import file_pattern, quote_value
from warehouse.sweeps.files import list_registered_files

KEPT_SNAPSHOTS = 3
MADE_EARLIER = "the snapshot was made by an earlier version; `rooflines run` renews it"

_THREADS = min(4, os.cpu_count() or 1)

_SANDBOX: Config = {
    **OFFLINE,
    "max_temp_directory_size": "10GB",  # for sorts and groups that do not fit in memory
    "python_enable_replacements": False,  # no variable of this program is a table
    "allow_persistent_secrets": False,
    "allow_unredacted_secrets": False,
}


def write_candidate(home: Home, run_id: str) -> Path:
    """Copy the build database into a file that `promote` can publish, with the run marked as succeeded.

    Nobody may have the build database open: only then does its file hold everything.
    """
    succeeded = "update core.run set status = 'succeeded' where run_id = ?"
    return _copy_candidate(home, home.build, lambda connection: connection.execute(succeeded, [run_id]))


def candidate_path(home: Home) -> Path:
    """Return the file of a snapshot that is not published yet."""
    return home.snapshot.with_suffix(".candidate")


def write_changed_copy(home: Home, change: Callable[[duckdb.DuckDBPyConnection], object]) -> Path:
    """Copy the snapshot into a file that `promote` can publish, and change the copy."""
    return _copy_candidate(home, home.snapshot, change)


def fill_candidate(home: Home, connection: duckdb.DuckDBPyConnection, fill: Callable[[], object]) -> Path:
    """Create a database that `promote` can publish, and call `fill` while the connection uses it."""
    with _create_candidate(home) as candidate:
        connection.execute(f"attach {quote_value(candidate)} as candidate (storage_version '{STORAGE}')")
        connection.execute("use candidate")
        fill()
        connection.execute("use memory")
        connection.execute("detach candidate")
    return candidate


def change_candidate(candidate: Path, change: Callable[[duckdb.DuckDBPyConnection], object]) -> None:
    """Change a candidate that nobody has open."""
    with duckdb.connect(str(candidate), config=WRITING) as connection:
        change(connection)
    sync_file(candidate)


def promote(candidate: Path, home: Home, run_id: str, kept: int = KEPT_SNAPSHOTS) -> None:
    """Publish a candidate: readers keep the file that they have open, and the next ones see the new file.

    The new snapshot is also kept in HOME/snapshots, from which the oldest ones are deleted.
    """
    home.snapshots.mkdir(exist_ok=True)
    with write_atomically(home.snapshots / f"{run_id}.duckdb") as partial:
        try:
            os.link(candidate, partial)
        except OSError:  # a disk without hard links
            shutil.copyfile(candidate, partial)
        replace_file(candidate, home.snapshot)
        # `partial` gets its name only now: a run that is cut off earlier has published nothing
    sync_folder(home.path)
    for old in list_snapshots(home)[max(kept, 1) :]:
        old.unlink(missing_ok=True)


def list_snapshots(home: Home) -> list[Path]:
    """Return the kept snapshots, newest first."""
    kept = sorted(home.snapshots.glob("*.duckdb"), reverse=True)
    try:
        with open_snapshot(home.snapshot) as connection:  # runs are named after their time, and clocks can step back
            numbers = dict(fetch_rows(connection, "select run_id, run_number from core.run"))
    except (duckdb.Error, InputError):
        return kept
    return sorted(kept, key=lambda path: numbers.get(path.stem, 0), reverse=True)


def find_snapshot(home: Home, run: str | None) -> Path:
    """Return the snapshot of the run whose id begins with `run`, or the published one.

    Raises
    ------
    InputError
        No kept snapshot is of such a run, or several are.
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
    """Open a snapshot for statements from any source.

    They can read this file, the files of its sweeps and nothing else: no other file, no network, no extension. They
    cannot change a setting, and are limited in memory and threads. Data that does not fit in memory spill to the folder
    `spill`, by default next to the snapshot. Users' statements must go through `sandbox.question.answer`: here they
    could write to those files.

    Raises
    ------
    InputError
        There is no snapshot, or it cannot be read; or `memory_limit` is not an amount of memory.
    """
    parse_memory(memory_limit)
    warn_if_untested()
    if not path.exists():
        raise InputError(f"{path}: no such snapshot; `rooflines run` makes it")
    if not path.is_file():
        raise InputError(f"{path}: not a file; expected a snapshot, or nothing, and `rooflines run` makes it")
    config: Config = {**_SANDBOX, "memory_limit": memory_limit, "threads": threads}
    if spill is not None:
        config["temp_directory"] = str(spill)
    try:
        connection = duckdb.connect(str(path), read_only=True, config=config)
    except duckdb.Error as error:
        refuse_later_file(path)
        todo = "" if explain_disk_error(error) else "; `rooflines run` repairs it"
        raise InputError(f"{path}: not a snapshot that can be read: {one_line(error)}{todo}") from None
    with connection:
        connection.execute("set global TimeZone = 'UTC'")
        connection.execute("set search_path = 'mart,core'")
        connection.execute("set enable_progress_bar = false")  # it would be printed among the rows
        _allow_sweep_files(connection)
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        yield connection


def refuse_earlier_version(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise `InputError` if a snapshot was made by an earlier version, and may lack what this one reads."""
    if not is_current(connection):
        raise InputError(MADE_EARLIER)


def read_published_run(connection: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    """Return the id and the inputs' digest of the run that made a snapshot."""
    last = "select run_id, inputs_sha256 from core.run where status = 'succeeded' order by run_number desc limit 1"
    run_id, inputs_sha256 = fetch_row(connection, last) or ("", "")
    return run_id, inputs_sha256


def find_published_run(home: Home) -> tuple[str, str]:
    """Return the id and the inputs' digest of the published run; two empty strings if no snapshot can be read."""
    try:
        with open_snapshot(home.snapshot) as connection:
            return read_published_run(connection)
    except (duckdb.Error, InputError):
        return "", ""


def _copy_candidate(home: Home, source: Path, change: Callable[[duckdb.DuckDBPyConnection], object]) -> Path:
    with _create_candidate(home) as candidate:
        shutil.copyfile(source, candidate)
        with duckdb.connect(str(candidate), config=WRITING) as connection:
            change(connection)
    return candidate


@contextmanager
def _create_candidate(home: Home) -> Iterator[Path]:
    """Yield the path of a candidate, which is on the disk when the block succeeds and deleted when it fails."""
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


def _allow_sweep_files(connection: duckdb.DuckDBPyConnection) -> None:
    files = [file for files in list_registered_files(connection).values() for file in files]
    if not files:
        return
    if any(isinstance(file, BucketPath) for file in files):
        with suppress(InputError):  # other views need no extension; a query of a sweep says what is missing
            enable_buckets(connection)
    names = {name for file in files for name in (str(file), file_pattern(file))}
    connection.execute("set allowed_paths = ?", [sorted(names)])
