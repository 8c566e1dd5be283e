"""Files that others put into HOME/incoming become entries of the catalog, or are set aside with the reason."""

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl

from flows.ingest.kinds import INGESTED_KINDS, recognize_kind
from flows.ingest.model_names import find_config
from flows.ingest.profile_conversion import NoDeviceError
from flows.ingest.user_catalog import add_files, find_catalog_fault
from warehouse.errors import InputError, RunError, explain_disk_error, one_line
from warehouse.home import Home, refuse_no_text

ACCEPTED, REJECTED = "accepted", "rejected"
_REASON = ".reason.txt"  # suffix of the file next to a rejected one
_MAX_NAME_BYTES = 255
_OWN_FOLDERS = (ACCEPTED, REJECTED, *INGESTED_KINDS)
_STILL_S = 2.0  # a file that changed more recently may still be being written


class _FileState(NamedTuple):
    """What differs once a file is written to or replaced."""

    mode: int
    inode: int
    size: int
    changed_ns: int


@dataclass(frozen=True)
class Arrival:
    """A file that came in: what it became, or why it was rejected; its name is text that a table can hold."""

    name: str
    kind: str | None
    entries: tuple[str, ...] = ()
    reason: str | None = None


def make_incoming_folder(home: Home) -> None:
    """Make the folder that files come into."""
    try:
        home.incoming.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"home: {home.path}: {error.strerror or error}; expected a folder that can be written"
        ) from None


def accept_incoming(home: Home, progress: Callable[[str], None] = lambda _: None) -> list[Arrival]:
    """Add the files of HOME/incoming to the catalog, each on its own.

    A subfolder named after a kind of `rooflines ingest` says what its files are; other files are recognized by their
    content. Any other subfolder may be that of a model: its config.json takes the name of the folder. A good file moves
    to incoming/accepted and replaces an entry of its name. A bad one, whatever is wrong with it, moves to
    incoming/rejected, next to a text file with the reason. A file that is still being written stays until the next
    time, and so does every file while another run holds the home or the disk is full.

    Raises
    ------
    InputError
        The folder cannot be read.
    RunError
        Another run holds the home, or its disk is full, so that no file was looked at.
    """
    arrivals: list[Arrival] = []
    hindrance: RunError | None = None
    for path, kind in _find_waiting_files(home.incoming, arrivals):
        name = one_line(path.relative_to(home.incoming).as_posix())
        progress(f"ingesting {name}")
        before = _read_state(path)
        try:
            arrival = _ingest_file(home, path, kind, name)
        except RunError as error:
            hindrance = hindrance or error
            progress(f"{name} waits: {one_line(error)}")
            continue
        after = _read_state(path)
        if after is None:
            arrivals.append(arrival if arrival.entries else replace(arrival, reason="it no longer exists"))
        elif after != before:
            progress(f"{name} waits: it changed while it was read")
        else:
            arrivals.append(_move_aside(home.incoming, path, arrival))
    if hindrance and not arrivals:
        raise hindrance
    return arrivals


def _ingest_file(home: Home, path: Path, kind: str | None, name: str) -> Arrival:
    """Add a file to the catalog, and return what became of it, whatever goes wrong."""
    try:
        refuse_no_text("incoming", path)
        known = kind or recognize_kind(path)
        entries = add_files(home, known, [str(path)], replace=True)
    except RunError:
        raise
    except InputError as error:
        if fault := find_catalog_fault(home):
            raise RunError(f"the catalog cannot be read: {fault}") from None
        expected = f"expected its id in the file name, e.g. a40-{path.name}"
        is_nameless = isinstance(error, NoDeviceError)
        reason = f"{path}: names no device of the catalog; {expected}" if is_nameless else error
        return Arrival(name, kind, reason=one_line(reason))
    except (Exception, pl.exceptions.PanicException) as error:
        if isinstance(trouble := explain_disk_error(error), RunError):
            raise trouble from None
        return Arrival(name, kind, reason=one_line(f"{type(error).__name__}: {error}"))
    return Arrival(name, known, tuple(added.path.name for added in entries))


def _find_waiting_files(incoming: Path, arrivals: list[Arrival]) -> Iterator[tuple[Path, str | None]]:
    """Yield the files to ingest; a subfolder that cannot be read is reported in `arrivals`."""
    folders = [(incoming, None), *((incoming / kind, kind) for kind in INGESTED_KINDS)]
    for folder, kind in folders:
        try:
            paths = sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            reason = f"{folder}: {error.strerror or error}; expected a readable folder"
            if kind is None:
                raise InputError(reason) from None
            arrivals.append(Arrival(kind, kind, reason=reason))
            continue
        for path in paths:
            if _is_whole(path):
                yield path, kind
            elif kind in (None, "model") and path.name not in _OWN_FOLDERS and (config := _find_whole_config(path)):
                yield config, "model"


def _find_whole_config(folder: Path) -> Path | None:
    """Return the config of a model whose folder is in HOME/incoming; None if there is none yet."""
    config = None if folder.name.startswith(".") or not folder.is_dir() else find_config(folder)
    return config if config and _is_whole(config) else None


def _is_whole(path: Path) -> bool:
    """Return whether a path is a file that nobody is writing any more."""
    if path.name.startswith(".") or path.suffix in {".part", ".partial", ".tmp"}:
        return False
    state = _read_state(path)
    return state is not None and stat.S_ISREG(state.mode) and abs(time.time() - state.changed_ns / 1e9) > _STILL_S


def _read_state(path: Path) -> _FileState | None:
    """Return the state of a file; None if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return _FileState(found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns)


def _move_aside(incoming: Path, path: Path, arrival: Arrival) -> Arrival:
    """Move a file to the accepted or the rejected ones; the arrival says so if it cannot be moved."""
    folder = incoming / (REJECTED if arrival.reason else ACCEPTED)
    try:
        folder.mkdir(exist_ok=True)
        target = _find_free_path(folder, _name_aside(incoming, path))
        if path.is_symlink():  # a relative link would point nowhere
            target.symlink_to(path.resolve())
            path.unlink()
        else:
            path.rename(target)
        if arrival.reason:
            text = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n{arrival.reason}\n"
            _reason_path(target).write_text(text, "utf-8")
    except OSError as error:
        trouble = f"it cannot be moved to {one_line(folder)}: {error.strerror or error}"
        return replace(arrival, reason=f"{arrival.reason}; {trouble}" if arrival.reason else f"accepted, but {trouble}")
    return arrival


def _name_aside(incoming: Path, path: Path) -> str:
    """Return the name of a file that is moved aside; a config in the folder of its model keeps the folder's name."""
    folders = [name for name in path.relative_to(incoming).parts[:-1] if name not in INGESTED_KINDS]
    return f"{folders[0]}_{path.name}" if folders else path.name


def _reason_path(path: Path) -> Path:
    return path.with_name(f"{path.name}{_REASON}")


def _find_free_path(folder: Path, name: str) -> Path:
    """Return a path in a folder that neither a file nor its reason has yet, with a number in the name if needed."""
    stem, dot, suffixes = name.partition(".")
    number, path = 1, folder / name
    while _is_too_long(path) or os.path.lexists(path) or os.path.lexists(_reason_path(path)):
        if _is_too_long(path):
            stem, suffixes = stem[:-1], suffixes if stem else suffixes[1:]
        else:
            number += 1
        path = folder / f"{stem}{f' ({number})' if number > 1 else ''}{dot}{suffixes}"
    return path


def _is_too_long(path: Path) -> bool:
    return len(os.fsencode(_reason_path(path).name)) > _MAX_NAME_BYTES
