"""Reports of the Empirical Roofline Tool into measurements that are ceilings of their device.

Its lines are a number and what it is: `7818.02 FP64 GFLOPs EMP`, `2674.54 L1 EMP` (GB/s), `523.62 DRAM EMP`. A line
without a precision is of fp64, which the tool measures unless told otherwise (Berkeley Lab, cs-roofline-toolkit).
"""

import re

import polars as pl

from flows.ingest.profiles.plain_text import read_lines, read_number, refuse_empty
from flows.ingest.source_file import SourceFile

_RATE = re.compile(r"^\s*#?\s*([\d.eE+]+)\s+(?:FP(16|32|64)\s+)?GFLOPs EMP\b")
_BANDWIDTH = re.compile(r"^\s*#?\s*([\d.eE+]+)\s+(L[1-4]|DRAM) EMP\b")


def is_ert(text: str) -> bool:
    """Return whether a text is a report of the Empirical Roofline Tool."""
    return any(_RATE.match(line) or _BANDWIDTH.match(line) for line in text.splitlines())


def read_ert(source: SourceFile, hardware_id: str, model_id: str | None) -> pl.DataFrame:
    """Return one row per ceiling, with the columns of a measurement file: what it does in a second.

    Raises
    ------
    InputError
        The file has no ceiling.
    """
    del model_id
    path, rows = source.path, []
    for line in read_lines(source):
        if found := _RATE.match(line):
            dtype = f"fp{found[2] or 64}"
            rate = read_number(found[1], "GFLOPs EMP", path) * 1e9
            rows.append({"op": f"{dtype} peak", "kind": "custom", "dtype": dtype, "level": "dram", "flops": rate})
        elif found := _BANDWIDTH.match(line):
            level = found[2].lower()
            moved = read_number(found[1], f"{found[2]} EMP", path) * 1e9
            rows.append({"op": f"{level} sweep", "kind": "copy", "dtype": "fp64", "level": level, "bytes": moved})
    rows = [row for row in rows if row.get("flops", 0) or row.get("bytes", 0)]
    if not rows:
        refuse_empty(path, "lines such as 7818.02 FP64 GFLOPs EMP and 523.62 DRAM EMP")
    return pl.DataFrame(rows, schema_overrides={"flops": pl.Float64, "bytes": pl.Float64}).select(
        *("op", "kind", "dtype", "level"),
        hardware_id=pl.lit(hardware_id),
        op_group=pl.lit("ceiling"),
        flops=pl.col("flops").fill_null(0.0) if any("flops" in row for row in rows) else pl.lit(0.0),
        # arithmetic on registers: the tool does not say how few bytes it moves
        bytes=pl.col("bytes").fill_null(1.0) if any("bytes" in row for row in rows) else pl.lit(1.0),
        latency_s=pl.lit(1.0),
        is_ceiling=pl.lit(value=True),
        method=pl.lit("Empirical Roofline Tool, best of all runs"),
        software=pl.lit("Empirical Roofline Tool"),
        origin=pl.lit(f"{path.name}, report of the Empirical Roofline Tool"[:400]),
    )
