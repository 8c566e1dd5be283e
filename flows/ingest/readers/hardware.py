"""Device files (TOML) into the rows of core.hardware and core.ceiling."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field, ValidationInfo, field_validator

from flows.ingest.document import ORIGIN_SCHEMA, Document, Id, Text, format_value, read_documents, refuse_duplicates
from flows.ingest.source_file import SourceFile
from flows.intensity.terms import Dtype, Pipe
from warehouse.errors import InputError, collect_refusals

Basis = Literal["datasheet", "as_printed", "measured", "counter"]

# FLOP/byte. A ridge outside this range means that one of its ceilings is in the wrong unit.
_RIDGE_RANGE = (0.05, 4000)

# A dense peak or one direction of a link, times this: what datasheets print with sparsity, or for both directions.
_DOUBLED = (1.98, 2.02)
_SAME = (0.98, 1.02)
_SAME_MEMORY = (0.8, 1.25)  # of one chip, whose memory is printed in several ways

# The chip in a device's name, e.g. a100, mi300x or 5090, but no memory such as 80gb
_CHIP = re.compile(r"(?<![a-z0-9])(?!\d+gb)(?:[a-z]+\d|\d{3})[a-z0-9]*")

# GB/s of DRAM or a link; L1 caches reach more
_MOST_BEYOND_CACHES = 100_000

_NULLABLE = {
    "tdp_w": pl.Float64, "l2_bytes": pl.Float64, "multiprocessors": pl.Int64, "released": pl.Date,
    "released_origin": pl.String, "note": pl.String, "reduces_in_switch": pl.Boolean, "switch_devices": pl.Int64,
    "dollars_per_hour": pl.Float64, "dollars_origin": pl.String,
}  # fmt: skip

_COLUMNS = {
    "hardware_id", "name", "short_name", "vendor", "architecture", "tdp_w", "released", "released_origin",
    "dollars_per_hour", "dollars_origin",
}  # fmt: skip
_TOGETHER = {"released": "released_origin", "dollars_per_hour": "dollars_origin"}  # a figure and who states it

# If no ceiling is marked as the default, it is the first one of the first basis.
_BASES = ("datasheet", "measured", "counter", "as_printed")


class Ceiling(Document):
    """What compute and bandwidth ceilings share."""

    basis: Basis
    origin: Text
    note: Text | None = None
    ceiling_name: Text | None = None
    default: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from other ceilings of its dtype or level and basis."""
        return self.origin, self.ceiling_name or ""


class Compute(Ceiling):
    """A compute ceiling: the dense peak of one dtype, on one kind of unit and with one accumulator."""

    dtype: Dtype
    tflops: Annotated[float, Field(gt=0, le=50_000)]
    pipe: Pipe | None = None
    accumulator: Dtype | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from other ceilings of its dtype and basis."""
        return *super().key, self.pipe or "", self.accumulator or ""


class Bandwidth(Ceiling):
    """A bandwidth ceiling (GB = 1e9 bytes) of a memory level, or of the interconnect in one direction."""

    level: Id
    gb_per_s: Annotated[float, Field(ge=0.1, le=1_000_000)]
    reduces_in_switch: bool | None = None
    switch_devices: Annotated[int, Field(ge=2, le=100_000)] | None = None

    @field_validator("gb_per_s")
    @classmethod
    def _refuse_other_unit(cls, value: float, info: ValidationInfo) -> float:
        if value > _MOST_BEYOND_CACHES and info.data.get("level") in ("dram", "interconnect"):
            raise ValueError(f"at most {_MOST_BEYOND_CACHES}")
        return value


class Device(Document):
    """One device file."""

    hardware_id: Id
    name: Text
    short_name: Text
    vendor: Text
    architecture: Text
    reported_names: list[Text] = Field(default_factory=list)  # by the driver
    compute_capability: Annotated[str, Field(pattern=r"^[0-9]{1,3}\.[0-9]{1,3}$")] | None = None
    memory_gb: Annotated[float, Field(ge=0.1, le=10_000)]
    l2_mib: Annotated[float, Field(gt=0, le=10_000)] | None = None
    multiprocessors: Annotated[int, Field(gt=0, le=100_000)] | None = None
    relatives: list[Id] = Field(default_factory=list)  # lend their calibrations, nearest first
    tdp_w: Annotated[float, Field(ge=0.5, le=50_000)] | None = None
    released: date | None = None
    released_origin: Text | None = None
    dollars_per_hour: Annotated[float, Field(gt=0, le=10_000)] | None = None
    dollars_origin: Text | None = None
    origin: Text
    license: Text | None = None
    compute: Annotated[list[Compute], Field(min_length=1)]
    bandwidth: Annotated[list[Bandwidth], Field(min_length=1)]


def read_hardware(sources: Sequence[SourceFile]) -> dict[str, pl.DataFrame]:
    """Return the frames `hardware` (one row per device), `ceiling`, `relative` (one row per entry) and `origin`.

    Raises
    ------
    InputError
        Files are broken, an id occurs twice, or a value is missing, unknown or absurd.
    """
    ceilings: list[dict[str, Any]] = []
    with collect_refusals() as each:
        devices = read_documents(sources, Device, each)
        for device, source in devices:
            with each():
                ceilings += _make_ceilings(device, source)
        with each():
            refuse_duplicates(((device.hardware_id, source) for device, source in devices), "hardware_id")
        _refuse_shared_names(devices)
        _question_doubled_figures(devices)
    hardware = [
        {
            **device.model_dump(include=_COLUMNS),
            "memory_bytes": device.memory_gb * 1e9,
            "l2_bytes": device.l2_mib and device.l2_mib * 2**20,
            "multiprocessors": device.multiprocessors,
            "source_id": source.source_id,
        }
        for device, source in devices
    ]
    relatives = [
        {"hardware_id": device.hardware_id, "relative": relative, "place": place}
        for device, _ in devices
        for place, relative in enumerate(device.relatives, start=1)
    ]
    origins = [
        {"source_id": source.source_id, "origin": device.origin, "license": device.license}
        for device, source in devices
    ]
    return {
        "hardware": pl.DataFrame(hardware, schema_overrides=_NULLABLE),
        "relative": pl.DataFrame(
            relatives, schema={"hardware_id": pl.String, "relative": pl.String, "place": pl.Int64}
        ),
        "ceiling": pl.DataFrame(ceilings, schema_overrides=_NULLABLE),
        "origin": pl.DataFrame(origins, schema=ORIGIN_SCHEMA),
    }


def _refuse_shared_names(devices: Sequence[tuple[Device, SourceFile]]) -> None:
    """Raise `InputError` if two devices have the same name on charts."""
    first: dict[str, SourceFile] = {}
    with collect_refusals() as each:
        for device, source in devices:
            with each():
                other = first.setdefault(device.short_name, source)
                if other is not source:
                    name = format_value(device.short_name)
                    raise InputError(f"{source.path}: short_name = {name}: also the short_name of {other.path}")


def _make_ceilings(device: Device, source: SourceFile) -> list[dict[str, Any]]:
    for figure, origin in _TOGETHER.items():
        if (getattr(device, figure) is None) != (getattr(device, origin) is None):
            raise InputError(f"{source.path}: {figure}: expected {figure} and {origin} together")
    entries: list[tuple[str, str, float, Compute | Bandwidth]] = [
        *(("compute", c.dtype, c.tflops * 1e12, c) for c in device.compute),
        *(("bandwidth", b.level, b.gb_per_s * 1e9, b) for b in device.bandwidth),
    ]
    keys = Counter((kind, name, entry.basis, *entry.key) for kind, name, _, entry in entries)
    (kind, name, basis, origin, *_), times = keys.most_common(1)[0]
    if times > 1:
        what = f"{kind}: {name} with basis {basis} and origin {format_value(origin)} occurs {times} times"
        apart = "pipe, accumulator or ceiling_name" if kind == "compute" else "ceiling_name"
        raise InputError(f"{source.path}: {what}; expected once per origin, {apart}")
    for link in device.bandwidth:
        for field in ("reduces_in_switch", "switch_devices"):
            if getattr(link, field) is not None and link.level != "interconnect":
                raise InputError(f"{source.path}: bandwidth {link.level}: {field}: expected at level interconnect")
    if not any(name == "dram" for _, name, _, _ in entries):
        raise InputError(f"{source.path}: bandwidth: no level dram; expected one")
    rows: list[dict[str, Any]] = [
        {
            "hardware_id": device.hardware_id,
            "kind": kind,
            "name": name,
            "basis": entry.basis,
            "value_per_s": value,
            **_rank(entry, [e for k, n, _, e in entries if (k, n) == (kind, name)], source),
            "origin": entry.origin,
            "note": entry.note,
            "source_id": source.source_id,
            "pipe": (isinstance(entry, Compute) and entry.pipe) or "",
            "accumulator": (isinstance(entry, Compute) and entry.accumulator) or "",
            "ceiling_name": entry.ceiling_name or "",
            "reduces_in_switch": entry.reduces_in_switch if isinstance(entry, Bandwidth) else None,
            "switch_devices": entry.switch_devices if isinstance(entry, Bandwidth) else None,
        }
        for kind, name, value, entry in entries
    ]
    _refuse_absurd_ridge(entries, source)
    return rows


def _rank(entry: Compute | Bandwidth, rivals: Sequence[Compute | Bandwidth], source: SourceFile) -> dict[str, Any]:
    """Return whether a ceiling is the default of its name, and its rank among those of its basis."""
    marked = [rival for rival in rivals if rival.default]
    if len(marked) > 1:
        name = entry.dtype if isinstance(entry, Compute) else entry.level
        raise InputError(f"{source.path}: default: {name} has {len(marked)} defaults; expected one")
    ranked = sorted(rivals, key=lambda rival: (not rival.default, _BASES.index(rival.basis)))
    same_basis = [rival for rival in ranked if rival.basis == entry.basis]
    place = next(place for place, rival in enumerate(same_basis, start=1) if rival is entry)
    return {"is_default": entry is ranked[0], "preference": place}


def _refuse_absurd_ridge(entries: Sequence[tuple[str, str, float, Compute | Bandwidth]], source: SourceFile) -> None:
    low, high = _RIDGE_RANGE
    for kind, dtype, peak, _ in entries:
        for other, level, bandwidth, _ in entries:
            if (kind, other, level) == ("compute", "bandwidth", "dram") and not low <= peak / bandwidth <= high:
                raise InputError(
                    f"{source.path}: compute {dtype} = {peak / 1e12:g} tflops with bandwidth {level} = "
                    f"{bandwidth / 1e9:g} gb_per_s: a ridge of {peak / bandwidth:.3g} FLOP/byte; "
                    f"expected {low:g} to {high:g} (is one of them in another unit?)"
                )


def _question_doubled_figures(devices: Sequence[tuple[Device, SourceFile]]) -> None:
    """Raise `InputError` if a user's figure is twice that of a shipped device that resembles the user's.

    Datasheets print peaks with sparsity, and links with both directions. A figure that is right all the same says so:
    "dense" or "one direction" in its note or origin.
    """
    shipped = [device for device, source in devices if _is_shipped(source)]
    with collect_refusals() as each:
        for device, source in devices:
            if not _is_shipped(source):
                with each():
                    for resembles in (_has_chip_of, _has_architecture_of, _has_memory_of):
                        _refuse_doubled(device, [twin for twin in shipped if resembles(device, twin)], source)


def _refuse_doubled(device: Device, twins: Sequence[Device], source: SourceFile) -> None:
    """Raise `InputError` if figures are twice those of a twin, and no twin has such a peak; the nearest is named."""
    questions = []
    for twin in sorted(twins, key=lambda twin: abs(twin.memory_gb - device.memory_gb)):
        peaks = {own.dtype: own.tflops for own in device.compute if _is_doubled_peak(own, twin, twins)}
        links = [own.gb_per_s for own in device.bandwidth if _is_doubled_link(own, twin)]
        if peaks:
            given = ", ".join(f"{dtype} = {tflops:g}" for dtype, tflops in peaks.items())
            what = f"compute {given} tflops: twice the dense peak of {twin.hardware_id}"
            questions.append(f'{what}; expected it without sparsity (if it is, write "dense" in its note)')
        if links:
            what = f"bandwidth interconnect = {links[0]:g} gb_per_s: twice what {twin.hardware_id} sends one way"
            questions.append(f'{what}; expected one direction (if it is, write "one direction" in its note)')
        if questions:
            raise InputError(f"{source.path}: {'; '.join(questions)}")


def _is_doubled_peak(own: Compute, twin: Device, twins: Sequence[Device]) -> bool:
    peaks = [c for each in twins for c in each.compute if c.dtype == own.dtype]
    return (
        "dense" not in _remarks(own)
        and own.tflops > max((peak.tflops for peak in peaks), default=own.tflops) * _SAME[1]
        and any(_is_near(own.tflops / peak.tflops, _DOUBLED) for peak in peaks if peak in twin.compute)
    )


def _is_doubled_link(own: Bandwidth, twin: Device) -> bool:
    return (
        own.level == "interconnect"
        and "one direction" not in _remarks(own)
        and any(_is_near(own.gb_per_s / b.gb_per_s, _DOUBLED) for b in twin.bandwidth if b.level == "interconnect")
    )


def _has_chip_of(own: Device, twin: Device) -> bool:
    """Return whether a device's id or names hold the chip of another of its vendor or memory, e.g. A100 or 5090."""
    chips = _CHIP.findall(twin.short_name.lower())
    words = _CHIP.findall(f"{own.hardware_id} {own.name} {own.short_name}".lower())
    is_near = own.vendor.lower() == twin.vendor.lower() or _is_near(own.memory_gb / twin.memory_gb, _SAME_MEMORY)
    return is_near and not set(words).isdisjoint(chips)


def _has_architecture_of(own: Device, twin: Device) -> bool:
    return (own.vendor.lower(), own.architecture.lower()) == (twin.vendor.lower(), twin.architecture.lower())


def _has_memory_of(own: Device, twin: Device) -> bool:
    drams = [next((b.gb_per_s for b in each.bandwidth if b.level == "dram"), 0) for each in (own, twin)]
    return _is_near(own.memory_gb / twin.memory_gb, _SAME) and drams[0] * _SAME[0] < drams[1] < drams[0] * _SAME[1]


def _is_near(ratio: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= ratio <= bounds[1]


def _remarks(ceiling: Ceiling) -> str:
    return f"{ceiling.origin} {ceiling.note}".lower()


def _is_shipped(source: SourceFile) -> bool:
    return source.source_id.startswith("shipped/")
