"""The survey report of Intel Advisor as CSV into measurements: FLOP and traffic of each loop and function.

`advisor --report=survey --show-all-columns --format=csv` gives, of a loop itself, time, GFLOP/s, and the gigabytes that
its loads and stores move: those of level l1, whichever cache or memory they come from. GFLOP = GFLOP/s x time, where
the time is the elapsed one if the report has it (Intel Advisor, pythonapi/examples/roofline.py).
"""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from flows.ingest.document import format_value
from flows.ingest.profiles.plain_text import clean_name, read_lines, read_number, refuse_empty
from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError

_NAME, _RATE, _MOVED, _TYPES = "Function Call Sites and Loops", "Self GFLOPS", "Self Memory GB", "Data Types"
_TIMES = ("Self Elapsed Time", "Self Time")
_DTYPES = (("float64", "fp64"), ("double", "fp64"), ("float32", "fp32"), ("float", "fp32"))
_DEFAULT = "fp64"  # of a report without data types
_UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}
_TIME = re.compile(r"^\s*([\d.,eE+-]+)\s*(s|ms|us)?\s*$")
_COMMAND = "advisor --report=survey --show-all-columns --format=csv, after a roofline collection"


def is_advisor(text: str) -> bool:
    """Return whether a text is a survey report of Intel Advisor as CSV."""
    return any(_NAME in line and "Self Time" in line for line in text.splitlines()[:50])


def read_advisor(source: SourceFile, hardware_id: str, model_id: str | None) -> pl.DataFrame:
    """Return one row per loop or function with FLOP, with the columns of a measurement file.

    Raises
    ------
    InputError
        A column is missing, or a value is no number.
    """
    del model_id
    path, lines = source.path, read_lines(source)
    start = next((at for at, line in enumerate(lines) if _NAME in line), None)
    if start is None:
        refuse_empty(path, f"the output of {_COMMAND}")
    delimiter = max(";\t,", key=lines[start].count)
    table = csv.reader((line for line in lines[start:] if "\0" not in line), delimiter=delimiter)
    header = [cell.strip() for cell in next(table)]
    time = next((name for name in _TIMES if name in header), None)
    missing = [name for name in (_RATE, _MOVED) if name not in header] + ([] if time else ["Self Time"])
    if missing or time is None:
        raise InputError(f"{path}: no column {', '.join(missing)}; expected the output of {_COMMAND}")
    rows: list[dict[str, Any]] = []
    for number, cells in enumerate(table, start + 2):
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        if any(row.get(name) for name in (_RATE, _MOVED)):
            rows += _place(row, time, f"line {number}", path)
    if not rows:
        refuse_empty(path, f"loops with {_RATE} and {_MOVED}, as in the output of {_COMMAND}")
    return pl.DataFrame(rows).with_columns(
        hardware_id=pl.lit(hardware_id),
        op_group=pl.lit("custom"),
        kind=pl.lit("custom"),
        level=pl.lit("l1"),
        method=pl.lit("Intel Advisor, self time"),
        software=pl.lit("Intel Advisor"),
        origin=pl.lit(f"{path.name}, survey report of Intel Advisor"[:400]),
    )


def _place(row: Mapping[str, str], time: str, where: str, path: Path) -> Sequence[dict[str, Any]]:
    rate, moved = (read_number(row.get(name) or "0", f"{where}: {name}", path) for name in (_RATE, _MOVED))
    given = row.get(time, "")
    found = _TIME.match(given)
    if not found:
        raise InputError(f"{path}: {where}: {time} = {format_value(given)}: expected a time, e.g. 1.25s")
    seconds = read_number(found[1], f"{where}: {time}", path) * _UNITS[found[2] or ""]
    if rate == 0 or moved == 0 or seconds == 0:
        return []
    types = row.get(_TYPES, "").lower()
    dtype = next((dtype for word, dtype in _DTYPES if word in types), _DEFAULT)
    name = clean_name(row.get(_NAME, "")) or "loop"
    return [{"op": name, "dtype": dtype, "flops": rate * 1e9 * seconds, "bytes": moved * 1e9, "latency_s": seconds}]
