"""Register sweeps in the build database and the snapshot, and remove them with their files."""

import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from warehouse import snapshot
from warehouse.build import open_build
from warehouse.connection import transaction
from warehouse.errors import InputError, RunError, one_line
from warehouse.files.bucket import Location, locate_folder
from warehouse.home import Home
from warehouse.rows import fetch_column
from warehouse.sweeps.files import list_registered_files
from warehouse.views import create_views

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Sweep:
    """A row of core.sweep."""

    sweep_id: str
    folder: str
    row_count: int
    models: Sequence[str]
    conventions: Sequence[str]
    phases: Sequence[str]
    precisions: Sequence[str]
    tensor_parallel_range: str
    batch_range: str
    sequence_range: str
    candidate_range: str | None
    query_range: str | None
    code_version: str
    created_at: datetime
    expert_parallel_range: str = "1"
    pipeline_parallel_range: str = "1"
    data_parallel_range: str = "1"
    device_like: str | None = None
    bandwidth_range: str | None = None
    memory_range: str | None = None
    link_range: str | None = None
    peak_ranges: Sequence[str] | None = None


@dataclass(frozen=True)
class MadeUpDevice:
    """A row of core.sweep_device besides its key: a device of the catalog, and what differs from it."""

    hardware_id: str
    bandwidth_bytes_per_s: float | None = None
    memory_bytes: float | None = None
    link_bytes_per_s: float | None = None
    peaks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PartFile:
    """A row of core.sweep_part; `path` is relative to the sweep's folder."""

    path: str
    row_count: int
    size_bytes: int


def refuse_bad_name(option: str, name: str) -> None:
    """Raise `InputError` if a sweep cannot have this name, which is also that of its folder."""
    if not _NAME.fullmatch(name):
        expected = "at most 64 lowercase letters, digits, dots, dashes and underscores"
        raise InputError(f"{option}: {name}: expected {expected}, a letter or digit first")


def sweep_folder(home: Home, sweep_id: str, out: Location | None = None) -> tuple[str, Location]:
    """Return the folder of a sweep, as core.sweep names it and as a path."""
    if out is not None:
        path = (out.absolute() if isinstance(out, Path) else out) / sweep_id
        return str(path), path
    path = home.sweeps / sweep_id
    return path.relative_to(home.path).as_posix(), path


def register_sweep(home: Home, sweep: Sweep, parts: Sequence[PartFile], devices: Sequence[MadeUpDevice] = ()) -> None:
    """Publish all files of a sweep at once, and delete the files of earlier sweeps of its name.

    Raises
    ------
    RunError
        Another run has locked the home.
    """

    def change(connection: duckdb.DuckDBPyConnection) -> None:
        _delete_rows(connection, sweep.sweep_id)
        row = asdict(sweep)
        marks = ", ".join(f"${name}" for name in row)
        connection.execute(f"insert into core.sweep ({', '.join(row)}) values ({marks})", row)
        rows = [[sweep.sweep_id, part.path, part.row_count, part.size_bytes] for part in parts]
        connection.executemany("insert into core.sweep_part values (?, ?, ?, ?)", rows)
        if devices:
            numbered = [[sweep.sweep_id, i, *astuple(device)] for i, device in enumerate(devices, 1)]
            connection.executemany("insert into core.sweep_device values (?, ?, ?, ?, ?, ?, ?)", numbered)

    with home.lock_for_writing():
        before = _list_files(home, sweep.sweep_id)
        folder, own = locate_folder(home.path, sweep.folder), home.sweeps / sweep.sweep_id
        unfinished: list[Location] = [*folder.rglob("*.partial")]
        _publish(home, change)
        left: set[Location] = {*before, *unfinished, *([] if own.is_symlink() else own.rglob("*.parquet"))}
        _delete_files(left - {folder / part.path for part in parts})


def remove_sweep(home: Home, sweep_id: str) -> int:
    """Remove a sweep, and return how many files of it were deleted.

    Raises
    ------
    InputError
        There is no sweep of that name, not even an unfinished one, or its folder is a link to elsewhere.
    RunError
        Another run has locked the home.
    """
    refuse_bad_name("--remove", sweep_id)
    with home.lock_for_writing():
        files, own = _list_files(home, sweep_id), home.sweeps / sweep_id
        _refuse_links(own, files)
        begun = [path for path in own.rglob("*") if path.is_file()]
        with snapshot.open_snapshot(home.snapshot) as connection:
            known = fetch_column(connection, "select sweep_id from mart.sweep order by 1")
        if sweep_id not in known and not begun:
            expected = f"expected one of {', '.join(known)}" if known else "there are none"
            raise InputError(f"--remove: {sweep_id}: no such sweep; {expected}")
        try:
            present = {file for file in {*files, *begun} if file.is_file()}
        except OSError as error:
            stays = "it stays until its files can be deleted"
            raise RunError(f"--remove: {sweep_id}: {one_line(error)}; {stays}") from None
        _publish(home, lambda connection: _delete_rows(connection, sweep_id))
        _delete_files(present)
        shutil.rmtree(own, ignore_errors=True)
        return len(present)


def _delete_rows(connection: duckdb.DuckDBPyConnection, sweep_id: str) -> None:
    for table in ("sweep_part", "sweep_device", "sweep"):
        connection.execute(f"delete from core.{table} where sweep_id = ?", [sweep_id])


def _refuse_links(own: Path, files: Iterable[Location]) -> None:
    """Raise `InputError` if a sweep's folder in the home is a link, or holds one that its files lie behind."""
    within = [file for file in files if isinstance(file, Path) and file.is_relative_to(own)]
    folders = {own, *(folder for file in within for folder in file.parents if folder.is_relative_to(own))}
    for folder in sorted(folders):
        if folder.is_symlink():
            raise InputError(
                f"--remove: {own.name}: {folder} is a link; expected a folder, or nothing: delete the link"
            )


def _list_files(home: Home, sweep_id: str) -> list[Location]:
    with snapshot.open_snapshot(home.snapshot) as connection:
        return list_registered_files(connection).get(sweep_id, [])


def _publish(home: Home, change: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
    """Change the build database, for later runs, and a copy of the snapshot, which then replaces it.

    The build database cannot be published instead: it may hold rows of a run that was not.
    """

    def apply(connection: duckdb.DuckDBPyConnection) -> None:
        with transaction(connection):
            change(connection)
            create_views(connection)

    with snapshot.open_snapshot(home.snapshot) as connection:
        snapshot.refuse_earlier_version(connection)  # before the build database is rebuilt, or views read other columns
    with open_build(home) as connection:
        apply(connection)
    run_id, _ = snapshot.find_published_run(home)
    kept = len(snapshot.list_snapshots(home)) + 1  # this is not a run, so that no snapshot is deleted
    snapshot.promote(snapshot.write_changed_copy(home, apply), home, run_id, kept)


def _delete_files(files: Iterable[Location]) -> None:
    """Delete files, and those of the three folders above them on a disk that become empty."""
    for file in files:
        with suppress(OSError):
            file.unlink(missing_ok=True)
            for folder in list(file.parents)[:3] if isinstance(file, Path) else ():
                folder.rmdir()
