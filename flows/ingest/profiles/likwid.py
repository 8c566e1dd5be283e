"""CSV of likwid-perfctr (`-O`) into measurements: FLOP and traffic of each region.

A group of counters gives rates, e.g. `DP [MFLOP/s]` and `Memory bandwidth [MBytes/s]` in MEM_DP; times the runtime they
are FLOP and bytes (RRZE-HPC/likwid, groups/). If several hardware threads were measured, rates add up, and the longest
runtime counts.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from flows.ingest.profiles.plain_text import clean_name, read_lines, read_number, refuse_empty
from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError

_TIME = ("Runtime (RDTSC) [s]", "Runtime [s]")
# metric -> dtype; a table has them with and without brackets, by version
_RATES: Mapping[str, str] = {
    "DP [MFLOP/s]": "fp64", "DP MFLOP/s": "fp64", "SP [MFLOP/s]": "fp32", "SP MFLOP/s": "fp32",
}  # fmt: skip
_TRAFFIC: Mapping[str, str] = {
    "Memory bandwidth [MBytes/s]": "dram", "L3 bandwidth [MBytes/s]": "l3", "L2 bandwidth [MBytes/s]": "l2",
}  # fmt: skip
_GROUPS = "MEM_DP or MEM_SP, which count FLOP and traffic together"
_HEADER = 3  # fields of the first line of a table that are needed


@dataclass
class _Table:
    region: str
    group: str
    metrics: dict[str, list[float]] = field(default_factory=dict)


def is_likwid(text: str) -> bool:
    """Return whether a text is the CSV of likwid-perfctr."""
    lines = text.splitlines()
    return any(line.startswith(("TABLE,", "STRUCT,Info")) for line in lines) and any(
        line.startswith("Metric,") for line in lines
    )


def read_likwid(source: SourceFile, hardware_id: str, model_id: str | None) -> pl.DataFrame:
    """Return one row per region, dtype and level, with the columns of a measurement file.

    Raises
    ------
    InputError
        No table has a time, FLOP and traffic, or a value is no number.
    """
    del model_id
    path = source.path
    rows = [row for table in _read_tables(read_lines(source), path) for row in _place(table, path)]
    if not rows:
        refuse_empty(path, f"a table of the group {_GROUPS}")
    return pl.DataFrame(rows).with_columns(
        hardware_id=pl.lit(hardware_id),
        op_group=pl.lit("custom"),
        kind=pl.lit("custom"),
        method=pl.lit("likwid-perfctr, counters, whole region"),
        software=pl.lit("likwid-perfctr"),
        origin=pl.lit(f"{path.name}, CSV of likwid-perfctr"[:400]),
    )


def _read_tables(lines: Sequence[str], path: Path) -> Iterator[_Table]:
    """Yield the tables of metrics; those of raw counters and of statistics say nothing else."""
    table: _Table | None = None
    for cells in csv.reader(line for line in lines if "\0" not in line):
        first = cells[0].strip() if cells else ""
        if first in {"TABLE", "STRUCT"}:
            if table is not None:
                yield table
            table = _begin_table([cell.strip() for cell in cells])
        elif table is not None and first in {*_TIME, *_RATES, *_TRAFFIC}:
            values = [read_number(cell.strip(), first, path) for cell in cells[1:] if cell.strip() not in {"", "-"}]
            table.metrics[first] = values
    if table is not None:
        yield table


def _begin_table(cells: Sequence[str]) -> _Table | None:
    """Return a table of metrics; None for another."""
    if len(cells) < _HEADER or cells[0] != "TABLE":
        return None
    titles = [cell for cell in cells[1:] if cell]
    kind = next((title for title in titles if title.startswith("Group") and "Metric" in title), "")
    if not kind or "STAT" in kind:
        return None
    region = next((title for title in titles if title.startswith("Region ")), "Region whole program")
    after = titles[titles.index(kind) + 1 :]
    return _Table(clean_name(region.removeprefix("Region ")) or "region", clean_name(after[0]) if after else "")


def _place(table: _Table, path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table that has a time, FLOP and traffic."""
    times = next((table.metrics[name] for name in _TIME if table.metrics.get(name)), None)
    rates = {dtype: sum(table.metrics[name]) for name, dtype in _RATES.items() if table.metrics.get(name)}
    traffic = {level: sum(table.metrics[name]) for name, level in _TRAFFIC.items() if table.metrics.get(name)}
    if times is None or not rates or not traffic:
        missing = "time" if times is None else "DP or SP [MFLOP/s]" if not rates else "Memory bandwidth [MBytes/s]"
        where = f"{path}: region {table.region}, group {table.group}"
        raise InputError(f"{where}: no {missing}; measure it with the group {_GROUPS}")
    time = max(times)
    for dtype, rate in rates.items():
        if rate > 0 or len(rates) == 1:
            for level, bandwidth in traffic.items():
                if bandwidth > 0 and time > 0:
                    work = {"flops": rate * 1e6 * time, "bytes": bandwidth * 1e6 * time, "latency_s": time}
                    yield {"op": table.region, "dtype": dtype, "level": level, **work}
