"""The user's own catalog: foreign files become entries of it, all of them or none."""

import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import polars as pl

from flows.ingest.catalog import SHIPPED, SourceFile, digest_of_file, list_sources
from flows.ingest.document import ID_PATTERN, TEXT_PATTERN, format_value, load_json, parse
from flows.ingest.hub import download_config, is_hub_name
from flows.ingest.kinds import read_every_kind, read_kind, refuse_unknown_names
from flows.ingest.limits import HEAD, refuse_too_large, refuse_utf_16, silence_panics
from flows.ingest.profiles import aiconfigurator
from flows.ingest.profiles.aiconfigurator import read_aiconfigurator
from flows.ingest.profiles.nsight import read_nsight
from flows.ingest.profiles.torch_profiler import read_torch_profiler
from flows.ingest.profiles.vidur import read_vidur
from flows.ingest.readers.device_table import read_device_table
from flows.ingest.readers.measurement import refuse_unknown_devices
from warehouse.errors import LITTLE_SPACE, Each, InputError, RunError, collect_refusals, explain_write_error, one_line
from warehouse.files.atomic import write_atomically
from warehouse.home import Home, refuse_no_path

Kind = Literal[
    "hardware", "model", "workload", "ops", "measurement", "vidur", "aiconfigurator", "nsight", "torch-profiler"
]

# kind -> folder of the catalog, endings of its files, field that holds the entry's id
_PLACES: dict[str, tuple[str, tuple[str, ...], str | None]] = {
    "hardware": ("hardware", (".toml",), "hardware_id"),
    "model": ("models", (".json",), None),
    "workload": ("workloads", (".toml",), "workload_id"),
    "ops": ("ops", (".csv", ".json", ".parquet"), None),
    "measurement": ("measurements", (".csv", ".parquet"), None),
}
# what reads the measurements of others: file, its device and model -> rows as in a measurement file
_Foreign = Callable[[SourceFile, str, str | None], pl.DataFrame | pl.LazyFrame]
_FOREIGN: Mapping[str, _Foreign] = {
    "vidur": read_vidur,
    "aiconfigurator": read_aiconfigurator,
    "nsight": read_nsight,
    "torch-profiler": read_torch_profiler,
}


@dataclass(frozen=True)
class Entry:
    """A file that is about to enter the catalog."""

    entry_id: str
    suffix: str
    origin: Path  # what messages name
    content: bytes = b""
    stored_at: Path | None = None  # the file that holds the content, where it may be large


@dataclass(frozen=True)
class AddedFile:
    """A file that entered the catalog, and whether it takes the place of a shipped one."""

    path: Path
    replaces_shipped: bool


def add_files(
    home: Home,
    kind: Kind,
    names: Sequence[str],
    *,
    replace: bool = False,
    hardware_id: str | None = None,
    model_id: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[AddedFile]:
    """Put files into the home's catalog, all or none, and return where they went.

    Parameters
    ----------
    home
        The home whose catalog takes them.
    kind
        What the files describe.
    names
        Paths; of models also folders that hold a config.json, and names on the Hugging Face hub; of AIConfigurator's
        tables also folders of them.
    replace
        Whether a file may take the place of one that is there.
    hardware_id, model_id
        The device and model of measurements whose files name neither; by default what the path names.
    progress
        Called with what is being done.

    Raises
    ------
    InputError
        Files cannot be used, or are there already: a line for each.
    RunError
        Another run holds the home, or the disk is full.
    """
    written = "measurement" if kind in _FOREIGN else kind
    folder, suffixes, _ = _PLACES[written]
    for option, value in (("--hardware-id", hardware_id), ("--model-id", model_id)):
        _refuse_unprintable(option, value or "")
    target = home.catalog / folder
    with home.lock_for_writing(), _make_scratch_folder(home) as scratch:
        entries: list[Entry] = []
        with collect_refusals() as each:
            if kind in _FOREIGN:
                sources = list_sources(home)
                for number, path in enumerate(_find_profiles(kind, names, each)):
                    progress(f"reading {path}")
                    with each():
                        file = scratch / f"{number}.parquet"
                        entries.append(_convert_profile(kind, path, file, sources, hardware_id, model_id))
            else:
                for name in names:
                    with each():
                        entries += _read_entries(kind, name)
            progress("checking")
            for entry in entries:
                with each():
                    _refuse_existing(target, entry, suffixes, replace=replace)
            _refuse_unusable(home, written, entries)
        try:
            return _write_entries(target, entries, suffixes)
        except OSError as error:
            raise explain_write_error(target, error, "a folder") from None


def _refuse_unprintable(option: str, value: str) -> None:
    """Raise `InputError` if a value that becomes a text of every row is none that a table can hold."""
    if not re.fullmatch(TEXT_PATTERN, value) or not value.isprintable():
        raise InputError(f"{option}: {format_value(value)}: expected an id")


@contextmanager
def _make_scratch_folder(home: Home) -> Iterator[Path]:
    """Make a folder in the home for what is not in the catalog yet."""
    try:
        scratch = tempfile.TemporaryDirectory(prefix=".ingest-", dir=home.path, ignore_cleanup_errors=True)
    except OSError as error:
        raise explain_write_error(f"home: {home.path}", error, "a folder") from None
    with scratch as folder:
        yield Path(folder)


def _refuse_existing(folder: Path, entry: Entry, suffixes: Iterable[str], *, replace: bool) -> None:
    """Raise `InputError` where an entry would take the place of another, unless it may."""
    for path in _paths_of_entry(folder, entry.entry_id, suffixes):
        if path.is_dir():
            raise InputError(f"{entry.origin}: {entry.entry_id}: {path} is a folder; move it away")
        if path.exists() and not replace:
            raise InputError(f"{entry.origin}: {entry.entry_id} is in the catalog, {path}; --replace takes its place")


def _expand_path(name: str) -> Path:
    refuse_no_path("ingest", name)
    return Path(name).expanduser()


def _paths_of_entry(folder: Path, entry_id: str, suffixes: Iterable[str]) -> list[Path]:
    return [folder / f"{entry_id}{suffix}" for suffix in suffixes]


def _write_entries(folder: Path, entries: Sequence[Entry], suffixes: Iterable[str]) -> list[AddedFile]:
    """Write every entry under another name first, so that a full disk keeps all of them out."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{entry.entry_id}{entry.suffix}" for entry in entries]
    with ExitStack() as stack:
        partials = [stack.enter_context(write_atomically(path)) for path in paths]
        for entry, partial in zip(entries, partials, strict=True):
            if entry.stored_at is None:
                partial.write_bytes(entry.content)
            else:
                shutil.copyfile(entry.stored_at, partial)
    return [_replace_others(*each, suffixes) for each in zip(entries, paths, strict=True)]


def _replace_others(entry: Entry, path: Path, suffixes: Iterable[str]) -> AddedFile:
    """Delete the files of other formats that describe the same entry."""
    same = [_paths_of_entry(folder, entry.entry_id, suffixes) for folder in (path.parent, SHIPPED / path.parent.name)]
    for other in same[0]:
        if other != path:
            other.unlink(missing_ok=True)
    return AddedFile(path, any(shipped.exists() for shipped in same[1]))


def _read_entries(kind: str, name: str) -> list[Entry]:
    path = _expand_path(name)
    if kind == "model":
        return [_read_model_entry(name, path)]
    _, suffixes, field = _PLACES[kind]
    if kind == "hardware" and path.suffix == ".csv":
        devices = read_device_table(_inspect_file(path, kind))
        if not devices:
            raise InputError(f"{path}: 0 rows; expected one a device")
        return [Entry(device_id, ".toml", path, text.encode()) for device_id, text in devices]
    if path.suffix not in suffixes:
        endings = ", ".join((*suffixes, ".csv") if kind == "hardware" else suffixes)
        raise InputError(f"{path}: expected a file that ends in {endings}")
    source = _inspect_file(path, kind)
    entry_id = source.entry_id
    if field is not None:
        document = parse(source)
        entry_id = document.get(field, entry_id)
        if not isinstance(entry_id, str) or not re.fullmatch(ID_PATTERN, entry_id):
            raise InputError(f"{path}: {field} = {format_value(entry_id)}: expected an id, {ID_PATTERN}")
    if kind == "measurement":
        return [Entry(entry_id, path.suffix, path, stored_at=path)]
    return [Entry(entry_id, path.suffix, path, source.read_bytes())]


def _find_profiles(kind: str, names: Sequence[str], each: Each) -> list[Path]:
    """Return the files that paths stand for; `each` takes what is wrong with one."""
    paths: list[Path] = []
    for name in names:
        with each():
            paths += _find_profiles_at(kind, _expand_path(name))
    return paths


def _find_profiles_at(kind: str, path: Path) -> list[Path]:
    """Return the files that a path stands for: itself, or the tables in a folder of AIConfigurator's."""
    if kind != "aiconfigurator" or not path.is_dir():
        return [path]
    found = sorted(file for name in aiconfigurator.TABLES for file in path.rglob(name))
    if not found:
        raise InputError(f"{path}: no table of AIConfigurator in it; expected {', '.join(aiconfigurator.TABLES)}")
    return found


def _convert_profile(
    kind: str, path: Path, target: Path, sources: Sequence[SourceFile], hardware_id: str | None, model_id: str | None
) -> Entry:
    """Return others' measurements as a measurement file, which is written to `target`."""
    source = _inspect_file(path, "measurement")
    try:
        with silence_panics() if kind == "aiconfigurator" else nullcontext():  # its tables are Parquet
            return _write_measurements(kind, source, target, sources, hardware_id, model_id)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if shutil.disk_usage(target.parent).free < LITTLE_SPACE:  # polars does not always say so
            raise RunError(f"no space on the disk: {target.parent}; free some, then run again") from None
        raise InputError(f"{path}: not as {kind} writes it: {one_line(error)[:200]}") from None


def _write_measurements(
    kind: str,
    source: SourceFile,
    target: Path,
    sources: Sequence[SourceFile],
    hardware_id: str | None,
    model_id: str | None,
) -> Entry:
    path = source.path
    by_itself = aiconfigurator.find_device(source) if kind == "aiconfigurator" else None
    device = hardware_id or by_itself or _find_id_in_path(path, sources, "hardware")
    if device is None:
        raise InputError(f"{path}: the file names no device of the catalog; expected --hardware-id, as a40")
    rows = _FOREIGN[kind](source, device, model_id or _find_id_in_path(path, sources, "model")).lazy()
    rows.sink_parquet(target)
    parts = aiconfigurator.name_parts(source) if kind == "aiconfigurator" else (path.parent.name, path.stem)
    name = "-".join(_make_id(part) for part in (kind, device, *parts) if part)
    return Entry(name[:64].rstrip("-._"), ".parquet", path, stored_at=target)


def _find_id_in_path(path: Path, sources: Sequence[SourceFile], kind: str) -> str | None:
    """Return the entry of the catalog that a path names in one of its parts, the longest if there are several."""
    text = "/".join(path.absolute().parts).lower()
    ids = [
        s.entry_id
        for s in sources
        if s.kind == kind and re.search(rf"(?<![a-z0-9]){re.escape(s.entry_id)}(?![0-9])", text)
    ]
    return max(ids, key=len, default=None)


def _read_model_entry(name: str, path: Path) -> Entry:
    if path.is_dir():
        path = path / "config.json"
    if not path.exists() and is_hub_name(name):
        return Entry(_make_id(name), ".json", Path(name), _add_origin(download_config(name), name))
    source = _inspect_file(path, "model")
    content = parse(source)
    named = content.get("_name_or_path") if isinstance(content, dict) else None
    of_config = named if isinstance(named, str) and named else path.absolute().parent.name
    of_file = of_config if path.stem == "config" else path.stem
    entry_id = _make_id(of_file)
    if not re.fullmatch(ID_PATTERN, entry_id):
        raise InputError(f"{path}: file name = {format_value(of_file)}: expected letters a to z, digits or dots in it")
    return Entry(entry_id, ".json", path, source.read_bytes())


def _make_id(name: str) -> str:
    """Return the id of a model: the last part of its name, `Llama-3.1-8B` as `llama-3.1-8b`."""
    last = name.rstrip("/").rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9._-]+", "-", last).strip("-._")[:64]


def _add_origin(config: bytes, hub_name: str) -> bytes:
    """Return a config that says where on the hub it comes from."""
    try:
        content: Any = load_json(config.decode("utf-8-sig"), Path(hub_name))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{hub_name}: broken JSON: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{hub_name}: expected a config, a table of fields")
    return (json.dumps({**content, "_name_or_path": hub_name}, indent=2, sort_keys=True) + "\n").encode()


def _inspect_file(path: Path, kind: str) -> SourceFile:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"{path}: expected a file")
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; expected a file") from None
    except ValueError as error:  # a null byte
        raise InputError(f"{format_value(str(path))}: {error}; expected a file") from None
    refuse_too_large(kind, path, size)
    refuse_utf_16(head, path)
    return SourceFile(f"new/{kind}/{path.stem}", kind, path.stem, path, path.name, digest_of_file(path), size)


def _refuse_unusable(home: Home, kind: str, entries: Sequence[Entry]) -> None:
    """Read the catalog as it would be, and raise `InputError` if a run could not use it."""
    new = [_NewSource.of(entry, kind) for entry in entries]
    times = Counter(entry.entry_id for entry in entries)
    with collect_refusals() as each:
        good: list[SourceFile] = []
        for source in new:
            with each():
                if times[source.entry_id] > 1:
                    raise InputError(f"{source.path}: {source.entry_id} stands twice in what is given; expected once")
                good.append(source)
        good = good and _keep_readable(kind, good, each)
        if good:
            _refuse_misfits(home, kind, good)


def _keep_readable(kind: str, sources: list[SourceFile], each: Each) -> list[SourceFile]:
    """Return the files that can be read; `each` takes what is wrong with the others."""
    try:
        _read_all_rows(kind, sources)
    except InputError:  # one by one, to tell which they are
        good = []
        for source in sources:
            with each():
                _read_all_rows(kind, [source])
                good.append(source)
        return good
    return sources


def _read_all_rows(kind: str, sources: Sequence[SourceFile]) -> None:
    frames = read_kind(kind, sources)
    if kind == "measurement":
        for _ in frames["measurement"].collect_batches():
            pass  # each is checked where it is read


def _refuse_misfits(home: Home, kind: str, new: Sequence[SourceFile]) -> None:
    """Raise `InputError` where files, each good by itself, do not fit to each other or to those of the catalog."""
    taken = {source.entry_id for source in new}
    others = [source for source in list_sources(home) if source.kind != kind or source.entry_id not in taken]
    sources = [*others, *new]
    frames = read_every_kind(sources)
    refuse_unknown_names(frames, sources)
    if kind == "measurement":
        refuse_unknown_devices(read_kind(kind, new)["measurement"], frames["hardware"].collect(), new)


def find_catalog_fault(home: Home) -> str | None:
    """Return why the catalog cannot be used as it stands, whatever is to be added to it; None if it can."""
    try:
        sources = list_sources(home)
        refuse_unknown_names(read_every_kind(sources), sources)
    except InputError as error:
        return one_line(error)
    return None


@dataclass(frozen=True)
class _NewSource(SourceFile):
    """An entry that no file of the catalog holds yet."""

    entry: Entry

    @classmethod
    def of(cls, entry: Entry, kind: str) -> "_NewSource":
        file = entry.stored_at
        digest = digest_of_file(file) if file else sha256(entry.content).hexdigest()
        size = file.stat().st_size if file else len(entry.content)
        path = entry.origin
        if path.suffix != entry.suffix:  # one of many in a table
            path = path.with_name(f"{path.name}:{entry.entry_id}{entry.suffix}")
        names = (f"new/{kind}/{entry.entry_id}", kind, entry.entry_id, path, os.fspath(path))
        return cls(*names, digest, size, entry)

    @property
    def stored_at(self) -> Path:
        """The file that holds the bytes."""
        return self.entry.stored_at or self.path

    def read_bytes(self) -> bytes:
        """Return the entry's bytes."""
        return self.entry.content
