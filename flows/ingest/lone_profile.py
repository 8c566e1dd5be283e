"""One profile with the devices of the catalog, as rows of tables of core: what its chart needs, without a run."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import duckdb
import polars as pl

from flows.ingest.catalog import list_sources
from flows.ingest.counter_ceilings import describe_counter_ceilings, find_counter_ceilings
from flows.ingest.entry import Entry, NewSource, inspect_file
from flows.ingest.filled_measurements import write_filled
from flows.ingest.kinds import CATALOG_KINDS, PROFILE_KINDS, read_kind, recognize_kind
from flows.ingest.measured_ceilings import add_measured_ceilings
from flows.ingest.model_names import make_id
from flows.ingest.profile_conversion import convert_profile
from flows.ingest.readers.calibration import add_stand_ins, transfer_to_relatives
from flows.ingest.readers.measurement import refuse_unknown_devices
from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError, collect_refusals
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.snapshot import open_snapshot
from warehouse.sql_files import load_sql

_NEEDED = ("hardware", "precision", "elementwise", "calibration")


@dataclass(frozen=True)
class LoneProfile:
    """A profile that no catalog holds.

    Attributes
    ----------
    name
        What its file would be called in a catalog.
    hardware_id
        Its device.
    tables
        Rows of tables of core, by the name of the table.
    counted
        The ceilings that counters in it state, in words.
    """

    name: str
    hardware_id: str
    tables: Mapping[str, pl.DataFrame]
    counted: Sequence[str] = ()


def read_lone_profile(
    home: Home,
    path: Path,
    kind: str | None = None,
    hardware_id: str | None = None,
    model_id: str | None = None,
    *,
    anyway: bool = False,
) -> LoneProfile:
    """Return a profile, or a measurement file, with what is known about its device.

    Parameters
    ----------
    home
        Whose catalog adds to the shipped one, if there is one.
    path
        The file.
    kind
        One of `PROFILE_KINDS`, or measurement; by default what the file looks like.
    hardware_id, model_id
        The device and the model; by default what the file or the path names.
    anyway
        Whether a file that names another device than `hardware_id` is taken.

    Raises
    ------
    InputError
        The file is of another kind, is broken or names no device, or several.
    """
    known = (*PROFILE_KINDS, "measurement")
    kind = kind or recognize_kind(path)
    if kind not in known:
        raise InputError(f"{path}: a file of kind {kind}; expected a profile: {', '.join(known)}")
    sources = list_sources(home)
    with tempfile.TemporaryDirectory(prefix="rooflines-") as scratch:
        if kind == "measurement":
            entry = _fill_measurements(path, Path(scratch), hardware_id)
        else:
            target = Path(scratch) / "rows.parquet"
            entry = convert_profile(kind, path, target, sources, hardware_id, model_id, anyway=anyway)
        source = NewSource.from_entry(entry, "measurement")
        frames = read_kind("measurement", [source])
        rows, counters, origins = (frames[name].collect() for name in ("measurement", "counter_ceiling", "origin"))
    return _join_tables(entry, source, rows, counters, origins, sources, home)


def _fill_measurements(path: Path, scratch: Path, hardware_id: str | None) -> Entry:
    """Return a measurement file as an entry, with its device where it lacks one."""
    suffixes = CATALOG_KINDS["measurement"].suffixes
    if path.suffix not in suffixes:
        raise InputError(f"{path}: expected a file that ends in {', '.join(suffixes)}")
    source = inspect_file(path, "measurement")
    entry = Entry(make_id(source.entry_id) or "times", path.suffix, path, stored_at=path)
    if hardware_id is None:
        return entry
    filled = scratch / f"filled{path.suffix}"
    write_filled(source, filled, {"hardware_id": hardware_id})
    return replace(entry, stored_at=filled)


def _join_tables(
    entry: Entry,
    source: SourceFile,
    rows: pl.DataFrame,
    counters: pl.DataFrame,
    origins: pl.DataFrame,
    sources: Sequence[SourceFile],
    home: Home,
) -> LoneProfile:
    """Return the rows of the tables that a chart of the profile reads: of its device alone.

    The ceilings that were measured on the device are those of the home's snapshot, if it has one.
    """
    frames: dict[str, pl.DataFrame] = {}
    with collect_refusals() as each:
        for kind in _NEEDED:
            with each():
                frames |= {
                    name: frame.collect() for name, frame in read_kind(kind, sources).items() if name != "origin"
                }
    refuse_unknown_devices(rows.lazy(), frames["hardware"], [source])
    devices = rows["hardware_id"].unique().sort().to_list()
    if not devices:
        raise InputError(f"{entry.origin}: ceilings, no kernels; expected a profile; `rooflines ingest` takes it")
    if len(devices) != 1:
        _refuse_several(entry.origin, devices)
    (device,) = devices
    counted = find_counter_ceilings(counters.with_columns(hardware_id=pl.lit(device)), [source])
    counted = counted.with_columns(origin=pl.col("origin").str.strip_prefix(f"{source.display_path}: "))
    of_home = _read_measured(home, device, frames["ceiling"])
    ceilings = add_measured_ceilings(pl.concat([frames["ceiling"], of_home]), rows.clear().lazy(), [], counted)
    fitted = transfer_to_relatives(frames["fitted"], frames["relative"])
    peaks = ceilings.filter(pl.col("kind") == "compute", "is_default").group_by("hardware_id", dtype="name")
    calibrations = add_stand_ins(
        fitted, frames["elementwise"]["kind"].to_list(), peaks.agg(peak_flops_per_s=pl.col("value_per_s").max())
    )
    of_file = {
        "source_id": source.source_id, "kind": "measurement", "path": entry.origin.name, "sha256": source.sha256,
        "size_bytes": source.size_bytes, "ingested_at": datetime.now(UTC),
    }  # fmt: skip
    is_of_device = pl.col("hardware_id") == device
    return LoneProfile(
        entry.entry_id,
        device,
        {
            "hardware": frames["hardware"].filter(is_of_device),
            "ceiling": ceilings.filter(is_of_device),
            "precision": frames["precision"],
            "calibration": calibrations.filter(is_of_device),
            "measurement": rows,
            "source": pl.DataFrame([of_file]).join(origins, on="source_id", how="left"),
        },
        tuple(what for _, what in describe_counter_ceilings(counted, frames["ceiling"])),
    )


def _read_measured(home: Home, device: str, ceilings: pl.DataFrame) -> pl.DataFrame:
    """Return the ceilings measured on a device in the home's snapshot; none without one of this version's tables."""
    none = ceilings.clear()
    if not home.snapshot.is_file():
        return none
    try:
        with open_snapshot(home.snapshot) as connection:
            known = read_frame(connection, load_sql("profiles/measured_ceilings"), hardware_id=device)
    except (duckdb.Error, InputError):
        return none  # of another version, or being replaced: the chart goes without
    if not set(none.columns) <= set(known.columns):
        return none
    key = ["hardware_id", "kind", "name", "basis", "origin", "pipe", "accumulator", "ceiling_name"]
    known = known.select(none.columns).cast(none.schema).with_columns(is_default=pl.lit(value=False))
    return known.join(ceilings, on=key, how="anti")


def _refuse_several(path: Path, devices: Sequence[str]) -> NoReturn:
    raise InputError(f"{path}: hardware_id: {', '.join(devices)}; expected one device")
