"""Tables of devices (CSV, a row a device) into device files."""

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import polars as pl

from flows.ingest.catalog import SourceFile
from flows.ingest.document import format_value, validate
from flows.ingest.limits import MOST_DEVICES
from flows.ingest.readers.hardware import Device, Dtype, Level
from warehouse.errors import InputError, collect_refusals, one_line

_DTYPES = get_args(Dtype)
_PEAK = re.compile(rf"((?:{'|'.join(_DTYPES)})(?:_(?:{'|'.join(_DTYPES)}))*)_(?:tflops|tops)")
_BANDWIDTHS = {f"{level}_gb_per_s": level for level in get_args(Level)} | {"bandwidth_gb_per_s": "dram"}
_TEXTS = ("hardware_id", "name", "short_name", "vendor", "architecture", "origin", "license", "basis", "note")
_NUMBERS = ("memory_gb", "l2_mib", "tdp_w")
_MOST_LINES = 20  # bad ones that are told of


def read_device_table(source: SourceFile) -> list[tuple[str, str]]:
    """Return id and TOML of each device of a table.

    A row has `hardware_id`, `origin`, `memory_gb`, `bandwidth_gb_per_s` and at least one peak, in a
    column such as `fp16_tflops`, `int8_tops`, or `fp16_bf16_tflops` for two dtypes at once. It may
    have `name`, `short_name`, `vendor`, `architecture`, `tdp_w`, `l2_mib`, `l2_gb_per_s`,
    `interconnect_gb_per_s`, `basis`, `license` and `note`. An empty cell says nothing.

    Raises
    ------
    InputError
        The table is broken, or columns or values are missing, unknown or absurd: a line for each of the first bad rows.
    """
    try:
        frame = pl.read_csv(io.BytesIO(source.read_bytes()), infer_schema=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
        raise InputError(f"{source.path}: broken CSV: {one_line(error)[:200]}") from None
    if len(frame) > MOST_DEVICES:
        raise InputError(f"{source.path}: {len(frame)} rows; expected at most {MOST_DEVICES}")
    for name in frame.columns:
        if name not in {*_TEXTS, *_NUMBERS, *_BANDWIDTHS} and not _PEAK.fullmatch(name):
            known = ", ".join((*_TEXTS, *_NUMBERS, *_BANDWIDTHS))
            raise InputError(
                f"{source.path}: column {format_value(name)}: expected one of {known}, or a peak as fp16_tflops"
            )
    devices: list[tuple[str, str]] = []
    with collect_refusals() as each:
        for number, row in enumerate(frame.iter_rows(named=True), start=2):
            if number - 2 - len(devices) == _MOST_LINES:
                raise InputError(f"{source.path}: lines from {number} on were not looked at, after so many bad ones")
            with each():
                device = _parse_device(row, number, source.path)
                devices.append((device.hardware_id, to_toml(device)))
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


def to_toml(device: Device) -> str:
    """Return a device as the text of its file."""
    content = device.model_dump(exclude_none=True, exclude_defaults=True)
    tables = {name: content.pop(name) for name in ("compute", "bandwidth")}
    lines = [f"{name} = {_literal(value)}" for name, value in content.items()]
    for name, entries in tables.items():
        for entry in entries:
            lines += ["", f"[[{name}]]", *(f"{key} = {_literal(value)}" for key, value in entry.items())]
    return "\n".join(lines) + "\n"


def _literal(value: str | float | bool) -> str:
    # JSON's texts and numbers are TOML's as well
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _collect_fields(cells: Mapping[str, str]) -> dict[str, Any]:
    stated = {"basis": cells.get("basis", "datasheet"), "origin": cells.get("origin")}
    stated = {name: value for name, value in stated.items() if value is not None}
    note = {"note": cells["note"]} if "note" in cells else {}
    device_id = cells.get("hardware_id", "")
    names = {"name": device_id, "short_name": device_id, "vendor": "not stated", "architecture": "not stated"}
    peaks = {name: match[1].split("_") for name in cells if (match := _PEAK.fullmatch(name))}
    return {
        **names,
        **{name: value for name, value in cells.items() if name in _TEXTS and name not in {"basis", "note"}},
        **{name: _parse_number(name, cells[name]) for name in _NUMBERS if name in cells},
        "compute": [
            {"dtype": dtype, "tflops": _parse_number(name, cells[name]), **stated, **note}
            for name, dtypes in peaks.items()
            for dtype in dtypes
        ],
        "bandwidth": [
            {"level": level, "gb_per_s": _parse_number(name, cells[name]), **stated}
            for name, level in _BANDWIDTHS.items()
            if name in cells
        ],
    }


def _parse_number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} = {format_value(text)}: expected a number") from None
