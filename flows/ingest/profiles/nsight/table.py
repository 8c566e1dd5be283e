"""Files of Nsight Compute into a frame with one row per launch and one column per metric.

Both layouts of its CSV are read: one row per metric (`--page details`, or no page), and one column per metric with a
row of units below the names (`--page raw`). What surrounds the table is skipped. A report (`.ncu-rep`) is turned into
the latter by `ncu`, if there is one.
"""

import codecs
import logging
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import polars as pl

from flows.ingest.document import format_value
from flows.ingest.limits import HEAD_BYTES, MAX_LINE_BYTES, refuse_long_lines
from flows.ingest.profiles.nsight import counters
from warehouse.errors import InputError, one_line

_log = logging.getLogger(__name__)

# What tells launches apart; early versions lack some. Launches of different devices are never one kernel.
KEYS = ("ID", "Process ID", "Kernel Name", "Block Size", "Grid Size", "Device", "CC")

_HEADER = re.compile(rb'^(\xef\xbb\xbf)?"?ID"?,.*"?Kernel Name"?')
_SUMMARY = re.compile(rb'^(\xef\xbb\xbf)?"?(Process ID|Kernel Name)"?,.*"?Average"?')
_REPORT = b"NVR\0"
_CAPABILITY = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}")
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_NUMBER = r"^(\d{1,3}(,\d{3})+|\d+)(\.\d*)?([eE][+-]?\d+)?$"
_LARGEST = 1e30
_ABSENT = ("", "n/a", "nan", "no data")  # values of metrics that the device does not have
_BLOCK_BYTES = 2**20
_MOST_S = 600.0  # that `ncu` may take


@contextmanager
def open_as_csv(path: Path) -> Iterator[Path]:
    """Give the path of a CSV in UTF-8 with the content of a file, which may be UTF-16 or a report.

    Raises
    ------
    InputError
        It is a report, and there is no `ncu`, or that cannot read it. The message has the command to run.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        encoding = _UTF_16.get(head[:2]) if b"\0" in head else None
        if not encoding and not is_report(path, head):
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="rooflines-") as folder:
            csv = Path(folder) / "raw.csv"
            with csv.open("wb") as out:
                if encoding:
                    file.seek(0)
                    _decode(file, out, encoding)
                else:
                    _import_report(path, out)
            yield csv


def is_report(path: Path, head: bytes) -> bool:
    """Return whether a file is a report of Nsight Compute, by its name or its first bytes."""
    return path.name.lower().endswith((".ncu-rep", ".nsight-cuprof-report")) or head.startswith(_REPORT)


def _decode(file: IO[bytes], out: IO[bytes], encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    while block := file.read(_BLOCK_BYTES):
        out.write(decoder.decode(block).encode())
    out.write(decoder.decode(b"", final=True).encode())


def _import_report(path: Path, out: IO[bytes]) -> None:
    ncu = shutil.which("ncu")
    if ncu is None:
        raise InputError(f"{path}: a report of Nsight Compute, which only ncu can read; {_say_import(path)}")
    command = [ncu, "--import", str(path), "--csv", "--page", "raw"]
    try:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, timeout=_MOST_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{path}: ncu cannot be run: {one_line(error)[:200]}; {_say_import(path)}") from None
    if done.returncode:
        said = one_line(done.stderr.decode("utf-8", "replace"))[:200]
        raise InputError(f"{path}: ncu cannot read it: {said or f'exit code {done.returncode}'}")


def _say_import(path: Path | None = None) -> str:
    """Return the command that makes a readable file of a report."""
    report = path.name if path else "REPORT.ncu-rep"
    table = f"{path.stem}.csv" if path else "FILE.csv"
    return f"run: ncu --import {shlex.quote(report)} --csv --page raw > {shlex.quote(table)}"


def read_launches(csv: Path, path: Path) -> tuple[pl.DataFrame, set[str]]:
    """Return one row per launch, one column per metric (seconds, bytes, counts), and the metrics that have numbers.

    Parameters
    ----------
    csv
        The table, in UTF-8.
    path
        The file, as messages name it.
    """
    refuse_long_lines(csv)
    lines = _scan_metrics(csv, path)
    text = pl.col("Metric Value").str.strip_chars().str.strip_prefix("(!) ")
    value = text.str.replace_all(",", "").cast(pl.Float64, strict=False)
    is_absent = text.str.to_lowercase().is_in(_ABSENT)
    given = ~is_absent & (pl.col("Metric Name") != counters.DEVICE)
    broken = given & ~(text.str.contains(_NUMBER) & (value <= _LARGEST)).fill_null(value=False)
    named = ("ID", "Metric Value")
    found = (
        lines.group_by("Metric Name", "Metric Unit")
        .agg(
            given.any().alias("given"),
            *(pl.when(broken).then(name).max().alias(f"broken {name}") for name in named),
            *(pl.when(given, value % 1 != 0).then(name).max().alias(f"fraction {name}") for name in named),
        )
        .sort("Metric Name", "Metric Unit")
        .collect(engine="streaming")
    )
    scales: dict[tuple[str, str], float] = {}
    for metric, unit, any_given, broken_id, wrong, fraction_id, fraction in found.iter_rows():
        if wrong is not None:
            raise InputError(
                f"{path}: {metric} of ID {broken_id} = {format_value(wrong)}: expected a number, 0 or more"
            )
        if fraction is not None and counters.is_whole(metric, unit):
            what = f"{metric} of ID {fraction_id} = {format_value(fraction)} {unit}".rstrip()
            raise InputError(f"{path}: {what}: expected a whole number (thousands are separated by commas)")
        if any_given:
            try:
                scales[metric, unit] = counters.find_scale(metric, unit)
            except ValueError as error:
                if not counters.is_peak(metric):
                    raise InputError(f"{path}: {error}") from None
                _log.warning("%s: %s; its ceiling is left out", path, error)  # the kernels do not need it
    known = {metric for metric, _ in scales}
    scale = pl.DataFrame(
        [(metric, unit, scale) for (metric, unit), scale in scales.items()],
        schema={"Metric Name": pl.String, "Metric Unit": pl.String, "scale": pl.Float64},
        orient="row",
    )
    launches = (
        lines.join(scale.lazy(), on=["Metric Name", "Metric Unit"], how="left")
        .group_by(KEYS)
        .agg(
            pl.when(pl.col("Metric Name") == counters.DEVICE, ~is_absent).then(text).max().alias("device_name"),
            *(
                pl.when(pl.col("Metric Name") == name, given).then(value * pl.col("scale")).max().alias(name)
                for name in sorted(known)
            ),
        )
        .sort(KEYS)
        .collect(engine="streaming")
    )
    return launches, known


def read_capabilities(csv: Path, path: Path) -> tuple[str, ...]:
    """Return the compute capabilities in a table, sorted."""
    table = _scan_table(csv, path)
    if "CC" not in table.collect_schema().names():
        return ()
    found = table.select(pl.col("CC").unique()).collect(engine="streaming").to_series()
    return tuple(sorted(value for value in found if value and _CAPABILITY.fullmatch(value)))


def _scan_table(csv: Path, path: Path) -> pl.LazyFrame:
    return pl.scan_csv(
        csv, skip_lines=_count_lines_before_header(csv, path), infer_schema=False, encoding="utf8-lossy", glob=False,
        truncate_ragged_lines=True,
    )  # fmt: skip


def _scan_metrics(csv: Path, path: Path) -> pl.LazyFrame:
    """Return one row per launch and metric that is used, from either layout."""
    table = _scan_table(csv, path)
    names = table.collect_schema().names()
    keyed = [pl.col(name) if name in names else pl.lit("").alias(name) for name in KEYS]
    if "Metric Name" in names:
        missing = [name for name in ("Metric Unit", "Metric Value") if name not in names]
        if missing:
            raise InputError(f'{path}: no column "{missing[0]}"; expected Nsight Compute\'s CSV')
        given = table.select(pl.col("Metric Name").unique()).collect(engine="streaming").to_series()
        used = [name for name in given if name is not None and counters.is_used(name)]
        _refuse_page(path, names, used, any(name and " " in name for name in given))
        lines = table.select(*keyed, "Metric Name", "Metric Unit", "Metric Value")
        lines = lines.filter(pl.col("Metric Name").is_in(used))
    else:
        metrics = [name for name in names if counters.is_used(name)]
        first = table.select("ID", *metrics).head(1).collect()
        units = {name: first[name][0] or "" for name in metrics} if len(first) and not first["ID"][0] else {}
        lines = (
            table.select(*keyed, *metrics)
            .unpivot(metrics, index=list(KEYS), variable_name="Metric Name", value_name="Metric Value")
            .with_columns(
                pl.col("Metric Name").replace_strict(units, default="", return_dtype=pl.String).alias("Metric Unit")
            )
        )
    return (
        lines.filter(pl.col("Kernel Name") != "")
        .with_columns(
            # rows of units, output of the program and repeated headers have no number here
            pl.col("ID").cast(pl.Int64, strict=False),
            pl.exclude("ID").fill_null(""),
        )
        .filter(pl.col("ID").is_not_null())
    )


def _refuse_page(path: Path, names: list[str], used: list[str], has_labels: bool) -> None:
    """Raise `InputError` for a details page that has labels in the place of the counters."""
    if "Section Name" in names and has_labels and not set(used) - set(counters.TIME):
        raise InputError(
            f"{path}: a details page, without counters of FLOP and bytes; {_say_import()}, if the report has roofline"
            f" sections (ncu --set roofline), or collect them with: {counters.COLLECT}"
        )


def _count_lines_before_header(csv: Path, path: Path) -> int:
    """Return how many lines precede the table; refuse a file with several tables whose columns differ."""
    number, skipped, header = 0, None, b""
    with csv.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES):
            if _HEADER.match(line):
                columns = line.removeprefix(codecs.BOM_UTF8).strip()
                if skipped is None:
                    skipped, header = number, columns
                elif columns != header:
                    raise InputError(f"{path}: line {number + 1}: a table with other columns; expected one per file")
            elif skipped is None and _SUMMARY.match(line):
                raise InputError(f"{path}: a summary (--print-summary), which has no single launches; {_say_import()}")
            number += line.endswith(b"\n")
    if skipped is None:
        raise InputError(
            f'{path}: no line with "ID" and "Kernel Name"; expected Nsight Compute\'s CSV, from: {counters.COLLECT}'
        )
    return skipped


def has_table(path: Path) -> bool:
    """Return whether a file is a report, or has a table of Nsight Compute, however much precedes it."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if is_report(path, head):
            return True
    encoding = _UTF_16.get(head[:2], "utf-8") if b"\0" in head else "utf-8"
    errors = "surrogateescape" if encoding == "utf-8" else "replace"
    with path.open(encoding=encoding, errors=errors, newline="\n") as text:
        while line := text.readline(MAX_LINE_BYTES):
            start = line.encode("utf-8", "surrogateescape")
            if _HEADER.match(start) or _SUMMARY.match(start):
                return True
    return False


def name_launch(row: pl.DataFrame) -> str:
    """Return how a message names the first of some launches."""
    return f"{format_value(row['Kernel Name'][0])} (ID {row['ID'][0]})"
