"""The user's own catalog: given files become entries of it, all of them or none."""

import logging
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from dataclasses import replace as replace_field
from functools import partial
from pathlib import Path

import polars as pl

from flows.ingest.catalog import SHIPPED, list_sources
from flows.ingest.counter_ceilings import describe_counter_ceilings, find_counter_ceilings
from flows.ingest.document import TEXT_PATTERN, format_value
from flows.ingest.engines.convert import SUFFIXES, convert_results
from flows.ingest.engines.settings import NO_OPTIONS, EngineOptions, name_option
from flows.ingest.entry import Entry, NewSource, inspect_file
from flows.ingest.filled_measurements import write_filled
from flows.ingest.given_files import expand_path, read_entries
from flows.ingest.kinds import CATALOG_KINDS, PROFILE_KINDS, read_every_kind, read_kind, refuse_unknown_names
from flows.ingest.measured_ceilings import describe_ceiling, find_measured_ceilings, format_rate
from flows.ingest.model_names import make_id
from flows.ingest.profile_conversion import convert_profile, find_profiles
from flows.ingest.readers import engine, step
from flows.ingest.readers.measurement import refuse_unknown_devices
from flows.ingest.source_file import SourceFile
from warehouse.errors import Each, InputError, collect_refusals, explain_write_error, one_line
from warehouse.files.atomic import write_atomically
from warehouse.home import Home

_MEASURED = ("measurement", *PROFILE_KINDS)  # kinds that become measurements


@dataclass(frozen=True)
class AddedFile:
    """A file that entered the catalog, whether it replaces a shipped one, and the ceilings that it measures.

    `counted` are the ceilings that counters in it state; `mismatch` says how many of its rows disagree with their own
    shape, and how the first of them does; `note` what else to know of it.
    """

    path: Path
    replaces_shipped: bool
    ceilings: Sequence[str] = ()
    counted: Sequence[str] = ()
    mismatch: str | None = None
    note: str = ""


def add_files(
    home: Home,
    kind: str,
    names: Sequence[str],
    *,
    replace: bool = False,
    hardware_id: str | None = None,
    model_id: str | None = None,
    as_ceiling: bool = False,
    anyway: bool = False,
    engine_options: EngineOptions = NO_OPTIONS,
    shipped: Path = SHIPPED,
    progress: Callable[[str], None] = lambda _: None,
) -> list[AddedFile]:
    """Add files to the home's catalog, all or none, and return where they went.

    Parameters
    ----------
    home
        The home.
    kind
        One of `INGESTED_KINDS`.
    names
        Paths; of models also folders with a config.json, and names on the Hugging Face hub; of AIConfigurator folders.
    replace
        Whether a file may replace an existing one.
    hardware_id, model_id
        Device of measurements, profiles and results of engines, and model of profiles and results, if files do not
        name them.
    as_ceiling
        Whether the fastest kernels of measurements or profiles become ceilings of their device.
    anyway
        Whether a profile is taken that names another device than `hardware_id`.
    engine_options
        What else to say of results of engines whose files do not.
    shipped
        The catalog that ships with rooflines.
    progress
        Called with what is being done.

    Raises
    ------
    InputError
        Files cannot be used, or exist already: one line per file.
    RunError
        Another run holds the home, or the disk is full.
    """
    given = _check_options(kind, hardware_id, model_id, as_ceiling=as_ceiling)
    _refuse_engine_options(kind, engine_options)
    stored_kind = "measurement" if kind in PROFILE_KINDS else kind
    folder, suffixes = CATALOG_KINDS[stored_kind].folder, CATALOG_KINDS[stored_kind].suffixes
    with home.lock_for_writing(), _make_scratch_folder(home) as scratch:
        with collect_refusals() as each:
            if kind in PROFILE_KINDS:
                sources = list_sources(home, shipped=shipped)
                convert = partial(
                    convert_profile, sources=sources, hardware_id=hardware_id, model_id=model_id, anyway=anyway
                )
                entries = _convert_all_profiles(kind, names, each, scratch, convert, progress)
            elif kind == "engine":
                known = list_sources(home, shipped=shipped)
                options = replace_field(engine_options, hardware_id=hardware_id, model_id=model_id)
                entries = _convert_all_results(names, each, known, options, progress)
            else:
                entries = _read_all_entries(kind, names, each)
            progress("checking")
            entries = _fill_columns(entries, given, scratch, each)
            _refuse_existing(home.catalog / folder, entries, suffixes, each, replace=replace)
            ceilings, counted, mismatches = _refuse_unusable(home, stored_kind, entries, shipped)
        paths = _write_entries(home.catalog / folder, entries, suffixes)
    ids = [entry.entry_id for entry in entries]
    replaced = [any(map(Path.exists, _paths_of_entry(shipped / folder, each, suffixes))) for each in ids]
    notes = {entry.entry_id: entry.note for entry in entries}
    return [
        AddedFile(path, is_shipped, ceilings.get(each, ()), counted.get(each, ()), mismatches.get(each), notes[each])
        for path, is_shipped, each in zip(paths, replaced, ids, strict=True)
    ]


def find_catalog_fault(home: Home) -> str | None:
    """Return why the catalog cannot be used as it is, before anything is added; None if it can."""
    try:
        sources = list_sources(home)
        refuse_unknown_names(read_every_kind(sources), sources)
    except InputError as error:
        return one_line(error)
    return None


def _read_all_entries(kind: str, names: Sequence[str], each: Each) -> list[Entry]:
    """Return the entries of given files; `each` collects the refusals."""
    entries: list[Entry] = []
    for name in names:
        with each():
            entries += read_entries(kind, name)
    return entries


def _convert_all_profiles(
    kind: str,
    names: Sequence[str],
    each: Each,
    scratch: Path,
    convert: Callable[[str, Path, Path], Entry],
    progress: Callable[[str], None],
) -> list[Entry]:
    """Return the entries of the profiles that paths stand for; `each` collects the refusals."""
    paths: list[Path] = []
    for name in names:
        with each():
            paths += find_profiles(kind, expand_path(name))
    entries: list[Entry] = []
    for number, path in enumerate(paths):
        progress(f"reading {path}")
        with each():
            entries.append(convert(kind, path, scratch / f"{number}.parquet"))
    return entries


def _convert_all_results(
    names: Sequence[str],
    each: Each,
    sources: Sequence[SourceFile],
    options: EngineOptions,
    progress: Callable[[str], None],
) -> list[Entry]:
    """Return the entries of files of results; `each` collects the refusals."""
    hardware = read_kind("hardware", sources)["hardware"].select("hardware_id", "name").collect()
    devices = {name.lower(): hardware_id for hardware_id, name in hardware.iter_rows()}
    devices |= {hardware_id: hardware_id for hardware_id in hardware["hardware_id"]}
    entries: list[Entry] = []
    for name in names:
        progress(f"reading {name}")
        with each():
            path = expand_path(name)
            if path.suffix not in SUFFIXES:
                raise InputError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
            content = convert_results(inspect_file(path, "engine"), options, devices)
            entries.append(Entry(make_id(path.stem) or "results", ".csv", path, content))
    return entries


def _refuse_engine_options(kind: str, options: EngineOptions) -> None:
    """Raise `InputError` if an option is given that only results of engines take, or a number is below 1."""
    for name, value in options.given.items():
        option = name_option(name)
        _refuse_option(option, str(value), kind, ("engine",))
    options.refuse_bad_counts()


def _check_options(kind: str, hardware_id: str | None, model_id: str | None, *, as_ceiling: bool) -> dict[str, str]:
    """Return what options say of all rows of a measurement file; raise `InputError` if a kind does not take one."""
    _refuse_option("--hardware-id", hardware_id, kind, (*_MEASURED, "engine"))
    with_models = [name for name, each in PROFILE_KINDS.items() if each.takes_model]
    _refuse_option("--model-id", model_id, kind, (*with_models, "engine"))
    if as_ceiling and kind not in _MEASURED:
        raise InputError(f"--as-ceiling: not for {kind}; expected one of {', '.join(_MEASURED)}")
    given = {"is_ceiling": "true"} if as_ceiling else {}
    if hardware_id and kind == "measurement":
        given["hardware_id"] = hardware_id
    return given


def _refuse_option(option: str, value: str | None, kind: str, kinds: Iterable[str]) -> None:
    """Raise `InputError` if a kind does not take an option, or its value cannot be stored as text in every row."""
    if value is not None and kind not in kinds:
        raise InputError(f"{option}: {format_value(value)}: not for {kind}; expected one of {', '.join(kinds)}")
    if value and (not re.fullmatch(TEXT_PATTERN, value) or not value.isprintable()):
        raise InputError(f"{option}: {format_value(value)}: expected an id")


def _fill_columns(entries: list[Entry], given: Mapping[str, str], scratch: Path, each: Each) -> list[Entry]:
    """Return entries of measurements with given values in some columns; `each` collects the refusals."""
    if not given:
        return entries
    filled = []
    for number, entry in enumerate(entries):
        with each():
            target = scratch / f"filled-{number}{entry.suffix}"
            write_filled(NewSource.from_entry(entry, "measurement"), target, given)
            filled.append(replace_field(entry, stored_at=target))
    return filled


@contextmanager
def _make_scratch_folder(home: Home) -> Iterator[Path]:
    """Make a folder in the home for files that are not in the catalog yet."""
    try:
        scratch = tempfile.TemporaryDirectory(prefix=".ingest-", dir=home.path, ignore_cleanup_errors=True)
    except OSError as error:
        raise explain_write_error(f"home: {home.path}", error, "a folder") from None
    with scratch as folder:
        yield Path(folder)


def _refuse_existing(
    folder: Path, entries: Iterable[Entry], suffixes: Iterable[str], each: Each, *, replace: bool
) -> None:
    """Refuse entries that would replace others although they may not; `each` collects the refusals."""
    for entry in entries:
        with each():
            for path in _paths_of_entry(folder, entry.entry_id, suffixes):
                what = f"{entry.origin}: {entry.entry_id}"
                if path.is_dir():
                    raise InputError(f"{what}: {path} is a folder; move it away")
                if path.exists() and not replace:
                    raise InputError(f"{what} is in the catalog, {path}; --replace replaces it")


def _paths_of_entry(folder: Path, entry_id: str, suffixes: Iterable[str]) -> list[Path]:
    return [folder / f"{entry_id}{suffix}" for suffix in suffixes]


def _write_entries(folder: Path, entries: Sequence[Entry], suffixes: Iterable[str]) -> list[Path]:
    """Write every entry and return the paths; explain what a full disk or a bad folder raises."""
    try:
        return _write_all_or_none(folder, entries, suffixes)
    except OSError as error:
        raise explain_write_error(folder, error, "a folder") from None


def _write_all_or_none(folder: Path, entries: Sequence[Entry], suffixes: Iterable[str]) -> list[Path]:
    """Write every entry under a temporary name first, so that a full disk keeps all of them out."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{entry.entry_id}{entry.suffix}" for entry in entries]
    with ExitStack() as stack:
        partials = [stack.enter_context(write_atomically(path)) for path in paths]
        for entry, partial in zip(entries, partials, strict=True):
            if entry.stored_at is None:
                partial.write_bytes(entry.content)
            else:
                shutil.copyfile(entry.stored_at, partial)
    for entry, path in zip(entries, paths, strict=True):
        for other in _paths_of_entry(folder, entry.entry_id, suffixes):
            if other != path:  # the same entry in another format
                other.unlink(missing_ok=True)
    return paths


def _refuse_unusable(
    home: Home, kind: str, entries: Sequence[Entry], shipped: Path
) -> tuple[dict[str, list[str]], dict[str, list[str]], dict[str, str]]:
    """Read the catalog with the new entries, and raise `InputError` if a run could not use it.

    Return the ceilings that each new entry measures, those that counters in it state, and how its rows disagree with
    their shapes, in words.
    """
    new = [NewSource.from_entry(entry, kind) for entry in entries]
    times = Counter(entry.entry_id for entry in entries)
    ceilings: dict[str, list[str]] = {}
    counted: dict[str, list[str]] = {}
    mismatches: dict[str, str] = {}
    with collect_refusals() as each:
        good: list[SourceFile] = []
        for source in new:
            with each():
                if times[source.entry_id] > 1:
                    raise InputError(f"{source.path}: {source.entry_id} is given twice; expected once")
                good.append(source)
        existing = list_sources(home, shipped=shipped)
        good = good and _keep_readable(kind, good, existing, each)
        if good:
            ceilings, counted = _refuse_misfits(kind, good, existing)
        if good and kind == "measurement":
            mismatches = _describe_mismatches(good)
    return ceilings, counted, mismatches


def _describe_mismatches(sources: Sequence[SourceFile]) -> dict[str, str]:
    """Return how many rows of each file disagree with their own shape, and how the first of them does."""
    rows = read_kind("measurement", sources)["measurement"].filter(pl.col("shape_mismatch").is_not_null())
    found = rows.group_by("source_id").agg(pl.len(), pl.col("op", "shape_mismatch").first()).collect()
    names = {source.source_id: source.entry_id for source in sources}
    return {
        names[source_id]: f"{count} row{'s' * (count > 1)}, e.g. {op}: {mismatch}"
        for source_id, count, op, mismatch in found.iter_rows()
    }


@contextmanager
def _warn_of_nothing() -> Iterator[None]:
    """Suppress warnings about files of the catalog: the new ones were read before, and the others are not at hand."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _keep_readable(
    kind: str, sources: list[SourceFile], existing: Sequence[SourceFile], each: Each
) -> list[SourceFile]:
    """Return the files that can be read; `each` collects the refusals of the others."""
    taken = {(source.kind, source.entry_id) for source in sources}
    needs = CATALOG_KINDS[kind].needs
    needed = [other for other in existing if other.kind in needs and (other.kind, other.entry_id) not in taken]
    try:
        _read_all_rows(kind, [*needed, *sources])
    except InputError as error:
        if kind in needs:  # files that build on each other are read together
            with each():
                raise error
            return []
        good = []
        for source in sources:  # one by one, to find out which
            with each():
                _read_all_rows(kind, [*needed, source])
                good.append(source)
        return good
    return sources


def _read_all_rows(kind: str, sources: Sequence[SourceFile]) -> None:
    frames = read_kind(kind, sources)
    if kind == "measurement":
        for _ in frames["measurement"].collect_batches():
            pass  # each batch is checked as it is read


def _refuse_misfits(
    kind: str, new: Sequence[SourceFile], existing: Sequence[SourceFile]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Raise `InputError` if files that are good by themselves do not fit each other or the catalog.

    Return the ceilings that each new file measures, and those that counters in it state, in words.
    """
    taken = {source.entry_id for source in new}
    sources = [*(source for source in existing if source.kind != kind or source.entry_id not in taken), *new]
    with _warn_of_nothing():
        frames = read_every_kind(sources)
    refuse_unknown_names(frames, sources)
    step.refuse_unknown_names(frames, sources)
    engine.refuse_unknown_names(frames, sources)
    ceilings: dict[str, list[str]] = {}
    counted: dict[str, list[str]] = {}
    if kind == "measurement":
        read = read_kind(kind, new)
        measurements, counters, stated = (
            read["measurement"], read["counter_ceiling"].collect(), frames["ceiling"].collect()
        )  # fmt: skip
        for rows in (measurements, counters.lazy()):
            refuse_unknown_devices(rows, frames["hardware"].collect(), new)
        names = {source.source_id: source.entry_id for source in new}
        for source_id, what in describe_counter_ceilings(find_counter_ceilings(counters, new), stated):
            counted.setdefault(names[source_id], []).append(what)
        found = find_measured_ceilings(stated, measurements, new)
        for row in found.sort("hardware_id", "kind", "name", "pipe", "accumulator").iter_rows(named=True):
            what = f"{row['hardware_id']} {describe_ceiling(row)}: {format_rate(row['kind'], row['value_per_s'])}"
            ceilings.setdefault(names[row["source_id"]], []).append(what)
    return ceilings, counted
