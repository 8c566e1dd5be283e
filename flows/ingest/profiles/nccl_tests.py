"""Output of nccl-tests and rccl-tests into measurements: collectives, to be held against the interconnect.

A line has a size, its time, and two bandwidths: size / time (`algbw`), and what each device sends / time (`busbw`). The
latter is the former times a factor that depends on the collective and the number n of devices: 2 (n - 1) / n for an
all-reduce, (n - 1) / n for an all-gather, a reduce-scatter or an all-to-all, and 1 for a broadcast, whose root sends
all, or a reduce, whose root receives all (nccl-tests, doc/PERFORMANCE.md), and where each device sends to the next
(src/sendrecv.cu). Bytes are what each device sends in a ring, as in `flows/measure/standalone_collectives.py`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from flows.ingest.document import format_value
from flows.ingest.profiles.plain_text import clean_name, read_lines, read_number, refuse_empty
from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError

# program -> kind, and what the busiest device sends or receives per byte of the size, by the number of devices
_PROGRAMS: Mapping[str, tuple[str, Callable[[int], float]]] = {
    "all_reduce": ("all_reduce", lambda devices: 2 * (devices - 1) / devices),
    "all_gather": ("all_gather", lambda devices: (devices - 1) / devices),
    "reduce_scatter": ("reduce_scatter", lambda devices: (devices - 1) / devices),
    "alltoall": ("all_to_all", lambda devices: (devices - 1) / devices),
    "broadcast": ("broadcast", lambda _: 1.0),
    "reduce": ("reduce", lambda _: 1.0),
    "sendrecv": ("send", lambda _: 1.0),
}
_DTYPES = {
    "half": "fp16", "float16": "fp16", "bfloat16": "bf16", "float": "fp32", "double": "fp64", "int8": "int8",
    "uint8": "int8", "int32": "int32", "uint32": "int32", "int64": "int64", "uint64": "int64", "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8", "f8e4m3": "fp8", "f8e5m2": "fp8",
}  # fmt: skip
_PROGRAM = re.compile(r"\b([a-z_]+)_perf\b")
_RANK = re.compile(r"^#?\s*Rank\s+(\d+)\b.*?\[[\w:.]+\]\s*(.*)$")
_VERSION = re.compile(r"\b([nr]ccl-tests) version (\S+)")
_ROW = re.compile(r"^\s*\d+\s+\d+\s+[a-z]\w*\s")
_FIELDS = 8  # size, count, type, operation, root, time, algbw, busbw
_IN_PLACE = 9  # where the time in place stands
_EXPECTED = f"the output of {', '.join(f'{name}_perf' for name in _PROGRAMS)}"


def is_nccl_tests(text: str) -> bool:
    """Return whether a text is output of nccl-tests or rccl-tests."""
    return bool(re.search(r"^#\s+size\s+count\s+type\b.*\btime\s+algbw\s+busbw", text, re.MULTILINE))


def read_nccl_tests(source: SourceFile, hardware_id: str, model_id: str | None) -> pl.DataFrame:
    """Return one row per size, once out of place and once in place, with the columns of a measurement file.

    Raises
    ------
    InputError
        The file does not say which collective, or how many devices; or a line is broken.
    """
    del model_id
    lines, path = read_lines(source), source.path
    head = "\n".join(line for line in lines if not _ROW.match(line))
    kind, factor = _find_program(head, path)
    ranks = {int(found[1]): found[2] for line in lines if (found := _RANK.match(line.strip()))}
    devices = len(ranks)
    if devices <= 1:
        raise InputError(f"{path}: {devices} lines of devices (# Rank 0 …); expected one for each of two or more")
    version = _VERSION.search(head)
    common = {
        "hardware_id": hardware_id,
        "device_name": clean_name(ranks[min(ranks)]) or None,
        "op_group": "communication",
        "kind": kind,
        "level": "interconnect",
        "flops": 0.0,
        "tensor_parallel": devices,
        "software": " ".join(version.groups()) if version else None,
        "origin": f"{path.name}, output of {kind}_perf on {devices} devices"[:400],
    }
    rows = []
    for number, line in enumerate(lines, 1):
        if _ROW.match(line):
            rows += _read_row(line.split(), f"{path}: line {number}", path, common, factor(devices))
    if not rows:
        refuse_empty(path, _EXPECTED)
    return pl.DataFrame(rows, infer_schema_length=None)


def _find_program(head: str, path: Path) -> tuple[str, Callable[[int], float]]:
    """Return the kind of collective that the output, or else its file, names."""
    named = [*_PROGRAM.findall(head), *_PROGRAM.findall(path.name.replace("-", "_"))]
    for name in named:
        if name in _PROGRAMS:
            return _PROGRAMS[name]
    stem = re.sub("[^a-z]", "", path.name.lower())
    for name, found in _PROGRAMS.items():  # "reduce" is a part of other names, so it comes after them
        if name.replace("_", "") in stem:
            return found
    if named:
        raise InputError(f"{path}: {named[0]}_perf: expected {_EXPECTED}")
    raise InputError(f"{path}: names no collective; expected one in the output or in the name of the file: {_EXPECTED}")


def _read_row(
    fields: Sequence[str], where: str, path: Path, common: Mapping[str, Any], factor: float
) -> list[dict[str, Any]]:
    if len(fields) < _FIELDS:
        raise InputError(f"{where}: {len(fields)} fields; expected size, count, type, redop, root, time, algbw, busbw")
    dtype = _DTYPES.get(fields[2])
    if dtype is None:
        raise InputError(f"{where}: type = {format_value(fields[2])}: expected one of {', '.join(_DTYPES)}")
    size, rows = read_number(fields[0], f"{where}: size", path), []
    for at, how in ((_FIELDS - 3, "out of place"), (_IN_PLACE, "in place")):
        if at >= len(fields) or fields[at] == "N/A" or size == 0:
            continue
        time = read_number(fields[at], f"{where}: time", path)
        if time > 0:
            row = {"dtype": dtype, "bytes": size * factor, "latency_s": time / 1e6}
            what = {"op": f"{common['kind']} of {size:.0f} bytes {how}", "n": max(1, int(float(fields[1])))}
            rows.append({**common, **row, **what, "method": f"wall clock of many collectives, mean, {how}"})
    return rows
