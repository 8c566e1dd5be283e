"""Files that others put into HOME/incoming become entries of the catalog, or are set aside with the reason."""

import gzip
import time
import tomllib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import polars as pl

from flows.entries import Kind, add
from flows.ingest.limits import quiet_panics, refuse_long_keys, refuse_too_large
from warehouse.errors import InputError, one_line
from warehouse.home import Home

ACCEPTED, REJECTED = "accepted", "rejected"
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


@dataclass(frozen=True)
class Arrival:
    """A file that came in: where it went, what it became, or why it could not."""

    name: str
    kind: str | None
    entries: tuple[str, ...] = ()
    reason: str | None = None


def make_incoming(home: Home) -> None:
    """Make the folder that files come into."""
    try:
        home.incoming.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"home: {home.path}: {error.strerror or error}; expected a folder that can be written"
        ) from None


def take_in(home: Home, progress: Callable[[str], None] = lambda _: None) -> list[Arrival]:
    """Put the files of HOME/incoming into the catalog, each on its own.

    A folder named after a kind of `rooflines ingest` says what its files are; of other files, their content does. A
    good file goes to incoming/accepted and takes the place of an entry of its name; a bad one goes to
    incoming/rejected, with the reason in a text file beside it. A file that is being written waits for the next time.

    Raises
    ------
    RunError
        Another run holds the home; the files wait.
    """
    arrivals = []
    for path, kind in _waiting(home.incoming):
        name = path.relative_to(home.incoming).as_posix()
        progress(f"taking in {name}")
        try:
            known = kind or recognized(path)
            entries = add(home, known, [str(path)], replace=True)
        except InputError as error:
            arrivals.append(Arrival(name, kind, reason=one_line(error)))
        else:
            arrivals.append(Arrival(name, known, tuple(added.path.name for added in entries)))
        _set_aside(home.incoming, path, arrivals[-1])
    return arrivals


def recognized(path: Path) -> Kind:
    """Return what a file is, by its ending and its first bytes.

    Raises
    ------
    InputError
        It is nothing known.
    """
    name = path.name.lower()
    kind: Kind | None = None
    if name.endswith(".toml"):
        kind = _of_keys(_toml_keys(path), {"hardware_id": "hardware", "workload_id": "workload"})
    elif name.endswith((".json", ".json.gz")):
        head = _head(path)
        kind = _of_keys({word for word in ("traceEvents", "model_type") if f'"{word}"' in head}, {
            "traceEvents": "torch-profiler", "model_type": "model",
        })  # fmt: skip
        kind = kind or ("ops" if head.lstrip().startswith("[") else None)
    elif name.endswith((".csv", ".parquet")):
        columns = _columns(path)
        kind = next((kind for names, kind in _COLUMNS if names <= columns), None)
        if kind is None and any(column.startswith("time_stats.") for column in columns):
            kind = "vidur"
        if kind is None and "Kernel Name" in columns:
            kind = "nsight"
    if kind is None:
        known = ", ".join(_KINDS)
        raise InputError(f"{path}: not recognized; expected a file of a known kind, or a folder that names it: {known}")
    return kind


def _waiting(incoming: Path) -> Iterator[tuple[Path, Kind | None]]:
    folders: list[tuple[Path, Kind | None]] = [(incoming, None), *((incoming / kind, kind) for kind in _KINDS)]
    for folder, kind in folders:
        for path in sorted(folder.glob("*")):
            is_partial = path.name.startswith(".") or path.suffix in {".part", ".partial", ".tmp"}
            if path.is_file() and not is_partial and abs(time.time() - path.stat().st_mtime) > _STILL_S:
                yield path, kind


def _set_aside(incoming: Path, path: Path, arrival: Arrival) -> None:
    folder = incoming / (REJECTED if arrival.reason else ACCEPTED)
    folder.mkdir(exist_ok=True)
    path.replace(folder / path.name)
    if arrival.reason:
        text = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n{arrival.reason}\n"
        (folder / f"{path.name}.reason.txt").write_text(text, "utf-8")


def _of_keys(keys: set[str], kinds: dict[str, Kind]) -> Kind | None:
    return next((kind for key, kind in kinds.items() if key in keys), None)


def _toml_keys(path: Path) -> set[str]:
    try:
        refuse_too_large("hardware", path, path.stat().st_size)
        text = path.read_text("utf-8-sig")
        refuse_long_keys(text, path)
        return set(tomllib.loads(text))
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: broken TOML: {one_line(error)}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply; expected a plain document") from None


def _head(path: Path) -> str:
    try:
        with path.open("rb") as file, gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file as content:
            return content.read(_HEAD).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: {one_line(error)}; expected a file that can be read") from None


def _columns(path: Path) -> set[str]:
    try:
        if path.suffix.lower() == ".parquet":
            with quiet_panics():
                return set(pl.read_parquet_schema(path))
        lines = [line for line in _head(path).splitlines() if not line.startswith("==")]  # ncu's own words
        header = next((line for line in lines if line.strip()), "")
        return {column.strip().strip('"') for column in header.removeprefix("\ufeff").split(",")}
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise InputError(f"{path}: {one_line(error)}; expected a table that can be read") from None
