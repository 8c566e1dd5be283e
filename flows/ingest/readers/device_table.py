"""Tables of devices (CSV, one row per device) into device files."""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from flows.ingest.document import format_value, validate
from flows.ingest.limits import MAX_DEVICES, UNREADABLE
from flows.ingest.readers.hardware import Device
from flows.ingest.source_file import SourceFile
from flows.ingest.toml_writer import format_toml
from flows.intensity.terms import DTYPES, PIPES
from warehouse.errors import InputError, collect_refusals, one_line

_PEAK = re.compile(rf"((?:{'|'.join(DTYPES)})(?:_(?:{'|'.join(DTYPES)}))*)(?:_({'|'.join(PIPES)}))?_(?:tflops|tops)")
_BANDWIDTH = re.compile(r"([a-z0-9][a-z0-9._-]*)_gb_per_s")
_TEXTS = ("hardware_id", "name", "short_name", "vendor", "architecture", "origin", "license", "basis", "note")
_NUMBERS = ("memory_gb", "l2_mib", "tdp_w")
_MAX_BAD_LINES = 20  # that are reported


def read_device_table(source: SourceFile) -> list[tuple[str, str]]:
    """Return id and TOML of each device of a table.

    A row has `hardware_id`, `origin`, `memory_gb`, `bandwidth_gb_per_s` and at least one peak, in a column such as
    `fp16_tflops`, `int8_tops`, `fp64_vector_tflops`, or `fp16_bf16_tflops` for two dtypes at once. It may have
    `name`, `short_name`, `vendor`, `architecture`, `tdp_w`, `l2_mib`, `basis`, `license`, `note`, and the bandwidth
    of any other level, e.g. `l2_gb_per_s` or `interconnect_gb_per_s`. An empty cell is a missing value.

    Raises
    ------
    InputError
        The table is broken, or columns or values are missing, unknown or absurd: one line per bad row.
    """
    try:
        frame = pl.read_csv(io.BytesIO(source.read_bytes()), infer_schema=False)
    except UNREADABLE as error:
        raise InputError(f"{source.path}: broken CSV: {one_line(error)[:200]}") from None
    if len(frame) > MAX_DEVICES:
        raise InputError(f"{source.path}: {len(frame)} rows; expected at most {MAX_DEVICES}")
    for name in frame.columns:
        if name not in {*_TEXTS, *_NUMBERS} and not _PEAK.fullmatch(name) and not _BANDWIDTH.fullmatch(name):
            known = ", ".join((*_TEXTS, *_NUMBERS, "bandwidth_gb_per_s"))
            raise InputError(
                f"{source.path}: column {format_value(name)}: expected one of {known}, a peak, e.g. fp16_tflops or"
                " fp64_vector_tflops, or the bandwidth of a level, e.g. l2_gb_per_s"
            )
    devices: list[tuple[str, str]] = []
    with collect_refusals() as each:
        for number, row in enumerate(frame.iter_rows(named=True), start=2):
            if number - 2 - len(devices) == _MAX_BAD_LINES:
                raise InputError(f"{source.path}: too many bad lines; lines from {number} on were not read")
            with each():
                device = _parse_device(row, number, source.path)
                devices.append((device.hardware_id, _format_device(device)))
    return devices


def _parse_device(row: Mapping[str, str | None], number: int, path: Path) -> Device:
    cells = {name: value.strip() for name, value in row.items() if value is not None and value.strip()}
    try:
        return validate(_collect_fields(cells), Device, path)
    except ValueError as error:
        raise InputError(f"{path}: line {number}: {error}") from None
    except InputError as error:
        text = str(error).removeprefix(f"{path}: ")
        raise InputError(f"{path}: line {number} ({one_line(cells.get('hardware_id', '')[:64])}): {text}") from None


def _format_device(device: Device) -> str:
    content = device.model_dump(exclude_none=True, exclude_defaults=True)
    arrays = {name: content.pop(name) for name in ("compute", "bandwidth")}
    return format_toml(content, arrays)


def _collect_fields(cells: Mapping[str, str]) -> dict[str, Any]:
    stated = {"basis": cells.get("basis", "datasheet"), "origin": cells.get("origin")}
    stated = {name: value for name, value in stated.items() if value is not None}
    note = {"note": cells["note"]} if "note" in cells else {}
    device_id = cells.get("hardware_id", "")
    names = {"name": device_id, "short_name": device_id, "vendor": "not stated", "architecture": "not stated"}
    peaks = {name: match for name in cells if (match := _PEAK.fullmatch(name))}
    bandwidths = {name: match[1] for name in cells if (match := _BANDWIDTH.fullmatch(name))}
    if not peaks:
        raise InputError("compute: no peak; expected at least 1, e.g. fp16_tflops")
    if not {"bandwidth", "dram"}.intersection(bandwidths.values()):
        raise InputError("bandwidth_gb_per_s: missing; expected a number")
    return {
        **names,
        **{name: value for name, value in cells.items() if name in _TEXTS and name not in {"basis", "note"}},
        **{name: _parse_number(name, cells[name]) for name in _NUMBERS if name in cells},
        "compute": [
            {"dtype": dtype, "tflops": _parse_number(name, cells[name]), "pipe": match[2], **stated, **note}
            for name, match in peaks.items()
            for dtype in match[1].split("_")
        ],
        "bandwidth": [
            {
                "level": "dram" if level == "bandwidth" else level,
                "gb_per_s": _parse_number(name, cells[name]),
                **stated,
            }
            for name, level in bandwidths.items()
        ],
    }


def _parse_number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} = {format_value(text)}: expected a number") from None
