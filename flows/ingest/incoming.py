"""Files that others put into HOME/incoming become entries of the catalog, or are set aside with the reason."""

import gzip
import os
import stat
import time
import tomllib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, get_args

import polars as pl

from flows.ingest.limits import refuse_long_keys, refuse_too_large, refuse_utf_16, silence_panics
from flows.ingest.user_catalog import Kind, add_files, find_catalog_fault
from warehouse.errors import InputError, RunError, explain_disk_error, one_line
from warehouse.home import Home, refuse_no_text

ACCEPTED, REJECTED = "accepted", "rejected"
_REASON = ".reason.txt"  # ending of the file beside a rejected one
_LONGEST_NAME = 255  # bytes of a file's name
_STILL_S = 2.0  # a file that changed within this time may still be being written
_HEAD = 65_536
_KINDS: tuple[Kind, ...] = get_args(Kind)
# what tells the kind of a table: columns that it has
_COLUMNS: tuple[tuple[frozenset[str], Kind], ...] = (
    (frozenset({"latency_s"}), "measurement"),
    (frozenset({"hardware_id", "short_name"}), "hardware"),
    (frozenset({"name", "group"}), "ops"),
    (frozenset({"latency", "framework"}), "aiconfigurator"),
)


class _FileState(NamedTuple):
    """What is another once a file was written, or another one is in its place."""

    mode: int
    inode: int
    size: int
    changed_ns: int


@dataclass(frozen=True)
class Arrival:
    """A file that came in: what it became, or why it could not; its name is what a table can hold."""

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
    """Put the files of HOME/incoming into the catalog, each on its own.

    A folder named after a kind of `rooflines ingest` says what its files are; of other files, their content does. A
    good file goes to incoming/accepted and takes the place of an entry of its name; a bad one, whatever is wrong with
    it, goes to incoming/rejected, with the reason in a text file beside it. A file that is being written waits for the
    next time, and so do all that another run or a full disk keeps out.

    Raises
    ------
    InputError
        The folder cannot be read.
    RunError
        Another run holds the home, or its disk is full, and no file was looked at; they wait.
    """
    arrivals: list[Arrival] = []
    hindrance: RunError | None = None
    for path, kind in _find_waiting_files(home.incoming, arrivals):
        name = one_line(path.relative_to(home.incoming).as_posix())
        progress(f"taking in {name}")
        before = _read_state(path)
        try:
            arrival = _ingest_file(home, path, kind, name)
        except RunError as error:
            hindrance = hindrance or error
            progress(f"{name} waits: {one_line(error)}")
            continue
        after = _read_state(path)
        if after is None:
            arrivals.append(arrival if arrival.entries else replace(arrival, reason="it is not there any more"))
        elif after != before:
            progress(f"{name} waits: it changed while it was read")
        else:
            arrivals.append(_move_aside(home.incoming, path, arrival))
    if hindrance and not arrivals:
        raise hindrance
    return arrivals


def _ingest_file(home: Home, path: Path, kind: Kind | None, name: str) -> Arrival:
    """Put a file into the catalog, and return what became of it, whatever is wrong with it, or with us."""
    try:
        refuse_no_text("incoming", path)
        known = kind or recognize_kind(path)
        entries = add_files(home, known, [str(path)], replace=True)
    except RunError:
        raise
    except InputError as error:
        if fault := find_catalog_fault(home):
            raise RunError(f"the catalog cannot be read: {fault}") from None
        return Arrival(name, kind, reason=one_line(error))
    except (Exception, pl.exceptions.PanicException) as error:
        if isinstance(trouble := explain_disk_error(error), RunError):
            raise trouble from None
        return Arrival(name, kind, reason=one_line(f"{type(error).__name__}: {error}"))
    return Arrival(name, known, tuple(added.path.name for added in entries))


def recognize_kind(path: Path) -> Kind:
    """Return what a file is, by its ending and its first bytes.

    Raises
    ------
    InputError
        It is nothing known.
    """
    name = path.name.lower()
    kind: Kind | None = None
    if not path.is_file():
        raise InputError(f"{path}: expected a file")
    if name.endswith(".toml"):
        kind = _find_kind(_read_toml_keys(path), {"hardware_id": "hardware", "workload_id": "workload"})
    elif name.endswith((".json", ".json.gz")):
        head = _read_head(path)
        kind = _find_kind({word for word in ("traceEvents", "model_type") if f'"{word}"' in head}, {
            "traceEvents": "torch-profiler", "model_type": "model",
        })  # fmt: skip
        kind = kind or ("ops" if head.lstrip().startswith("[") else None)
    elif name.endswith((".csv", ".parquet")):
        columns = _read_columns(path)
        kind = next((kind for names, kind in _COLUMNS if names <= columns), None)
        if kind is None and any(column.startswith("time_stats.") for column in columns):
            kind = "vidur"
        if kind is None and "Kernel Name" in columns:
            kind = "nsight"
    if kind is None:
        known = ", ".join(_KINDS)
        raise InputError(f"{path}: not recognized; expected a file of a known kind, or a folder that names it: {known}")
    return kind


def _find_waiting_files(incoming: Path, arrivals: list[Arrival]) -> Iterator[tuple[Path, Kind | None]]:
    """Yield the files to be taken in; what is told of a folder of a kind that cannot be read is put to the arrivals."""
    folders: list[tuple[Path, Kind | None]] = [(incoming, None), *((incoming / kind, kind) for kind in _KINDS)]
    for folder, kind in folders:
        try:
            paths = sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            reason = f"{folder}: {error.strerror or error}; expected a folder that can be read"
            if kind is None:
                raise InputError(reason) from None
            arrivals.append(Arrival(kind, kind, reason=reason))
            continue
        yield from ((path, kind) for path in paths if _is_whole(path))


def _is_whole(path: Path) -> bool:
    """Whether a path is a file that nobody is writing any more."""
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
    """Move a file to the others of its end, beside one of its name; where it cannot be moved, say so."""
    folder = incoming / (REJECTED if arrival.reason else ACCEPTED)
    try:
        folder.mkdir(exist_ok=True)
        target = _find_free_path(folder, path.name)
        path.rename(target)
        if arrival.reason:
            text = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n{arrival.reason}\n"
            _reason_path(target).write_text(text, "utf-8")
    except OSError as error:
        said = f"it cannot be moved to {one_line(folder)}: {error.strerror or error}"
        return replace(arrival, reason=f"{arrival.reason}; {said}" if arrival.reason else f"taken in, but {said}")
    return arrival


def _reason_path(path: Path) -> Path:
    return path.with_name(f"{path.name}{_REASON}")


def _find_free_path(folder: Path, name: str) -> Path:
    """Return a path in a folder that nothing has yet, by a number in the name if need be, nor its reason."""
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
    return len(os.fsencode(_reason_path(path).name)) > _LONGEST_NAME


def _find_kind(keys: set[str], kinds: dict[str, Kind]) -> Kind | None:
    return next((kind for key, kind in kinds.items() if key in keys), None)


def _read_toml_keys(path: Path) -> set[str]:
    try:
        refuse_too_large("hardware", path, path.stat().st_size)
        content = path.read_bytes()
        refuse_utf_16(content, path)
        text = content.decode("utf-8-sig")
        refuse_long_keys(text, path)
        return set(tomllib.loads(text))
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: broken TOML: {one_line(error)}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply; expected a plain document") from None


def _read_head(path: Path) -> str:
    try:
        with path.open("rb") as file, gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file as content:
            head = content.read(_HEAD)
            refuse_utf_16(head, path)
            return head.decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: {one_line(error)}; expected a file that can be read") from None


def _read_columns(path: Path) -> set[str]:
    try:
        if path.suffix.lower() == ".parquet":
            with silence_panics():
                return set(pl.read_parquet_schema(path))
        lines = [line for line in _read_head(path).splitlines() if not line.startswith("==")]  # ncu's own words
        header = next((line for line in lines if line.strip()), "")
        return {column.strip().strip('"') for column in header.removeprefix("\ufeff").split(",")}
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise InputError(f"{path}: {one_line(error)}; expected a table that can be read") from None
