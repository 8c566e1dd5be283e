"""Profiles that other programs wrote, converted into measurement files."""

import re
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import polars as pl

from flows.ingest.entry import Entry, inspect_file
from flows.ingest.kinds import PROFILE_KINDS
from flows.ingest.limits import silence_panics
from flows.ingest.model_names import make_id
from flows.ingest.reported_devices import (
    find_reported_device,
    read_devices,
    refuse_other_device,
    refuse_unknown_device,
)
from flows.ingest.source_file import SourceFile
from warehouse.errors import LITTLE_SPACE, InputError, RunError, one_line

_ID_LENGTH = 64


class NoDeviceError(InputError):
    """Neither a profile nor its path names a device of the catalog."""


def find_profiles(name: str, path: Path) -> list[Path]:
    """Return the profiles that a path stands for: the file itself, or those in a folder if the kind takes folders.

    Raises
    ------
    InputError
        The folder has no such file.
    """
    file_names = PROFILE_KINDS[name].file_names
    if not file_names or not path.is_dir():
        return [path]
    found = sorted(file for file_name in file_names for file in path.rglob(file_name))
    if not found:
        raise InputError(f"{path}: no {name} file in it; expected {', '.join(file_names)}")
    return found


def convert_profile(
    name: str,
    path: Path,
    target: Path,
    sources: Sequence[SourceFile],
    hardware_id: str | None = None,
    model_id: str | None = None,
    *,
    anyway: bool = False,
) -> Entry:
    """Write a profile as a measurement file (Parquet), and return that as an entry.

    Parameters
    ----------
    name
        The kind of profile.
    path
        The profile.
    target
        The file to write.
    sources
        The catalog, whose devices and models the path may name.
    hardware_id, model_id
        The device and the model; by default what the file or the path names.
    anyway
        Whether a file that names another device than `hardware_id` is taken.

    Raises
    ------
    NoDeviceError
        Neither the file nor its path names a device of the catalog.
    InputError
        The file is not such a profile, or names another device.
    RunError
        The disk is full.
    """
    source = inspect_file(path, "measurement", takes_utf_16=PROFILE_KINDS[name].reads_utf_16)
    try:
        with silence_panics() if PROFILE_KINDS[name].is_parquet else nullcontext():
            return _write_measurements(name, source, target, sources, hardware_id, model_id, anyway=anyway)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if shutil.disk_usage(target.parent).free < LITTLE_SPACE:  # polars does not always say so
            raise RunError(f"no space on the disk: {target.parent}; free some, then run again") from None
        raise InputError(f"{path}: not in the format of {name}: {one_line(error)[:200]}") from None


def _write_measurements(
    name: str,
    source: SourceFile,
    target: Path,
    sources: Sequence[SourceFile],
    hardware_id: str | None,
    model_id: str | None,
    *,
    anyway: bool,
) -> Entry:
    path, kind = source.path, PROFILE_KINDS[name]
    read = kind.prepare(sources) if kind.prepare else kind.read
    rows = read(source, hardware_id or "", model_id or _find_id_in_path(path, sources, "model")).lazy()
    device = hardware_id or kind.find_device(source)
    if not (hardware_id and anyway):
        devices, names, capabilities = read_devices(sources), _find_names(rows), kind.find_capabilities(source)
        if hardware_id:
            refuse_unknown_device(devices, hardware_id)
            refuse_other_device(devices, hardware_id, names, capabilities, path)
        device = device or find_reported_device(devices, names, capabilities)
        device = device or _find_id_in_path(path, sources, "hardware")
    if device is None:
        raise NoDeviceError(f"{path}: names no device of the catalog; expected --hardware-id, e.g. a40")
    rows.with_columns(hardware_id=pl.lit(device)).sink_parquet(target)
    entry_id = "-".join(make_id(part) for part in (name, device, *kind.name_parts(source)) if part)
    note = _find_note(target)
    return Entry(entry_id[:_ID_LENGTH].rstrip("-._"), ".parquet", path, stored_at=target, note=note)


def _find_note(target: Path) -> str:
    """Return what the rows of a profile say of the profile as a whole: how much of its time they cover."""
    rows = pl.scan_parquet(target)
    if "coverage" not in rows.collect_schema():
        return ""
    stated = rows.select("coverage").drop_nulls().head(1).collect()
    return "" if stated.is_empty() else str(stated.item())


def _find_names(rows: pl.LazyFrame) -> list[str]:
    """Return the names of devices in the rows of a profile; a file of several devices lists theirs."""
    if "device_name" not in rows.collect_schema().names():
        return []
    found = rows.select(pl.col("device_name").unique()).collect().to_series()
    return sorted({name.strip() for each in found if each for name in each.split(",") if name.strip()})


def _find_id_in_path(path: Path, sources: Sequence[SourceFile], kind: str) -> str | None:
    """Return the longest id of the catalog that occurs in a path, or None."""
    text = "/".join(path.absolute().parts).lower()
    ids = [
        s.entry_id
        for s in sources
        if s.kind == kind and re.search(rf"(?<![a-z0-9]){re.escape(s.entry_id)}(?![0-9])", text)
    ]
    return max(ids, key=len, default=None)
