"""Nsight Compute's CSV (`ncu --csv`) and reports into measurements, one row per launch, or group of them, and level.

Time is `gpu__time_duration`, or cycles divided by their rate. The bytes of a level are `dram__bytes` (or the sum of
read and written), `lts__t_bytes` and `l1tex__t_bytes`: all that was requested from it. Counters per second are
multiplied by the time, counters per cycle by the elapsed cycles of a multiprocessor, as in the roofline sections of
Nsight Compute 2025.3.1 (`SpeedOfLight_Hierarchical*.section`). Those sections have other counters of two levels: L2 is
`derived__lts__lts2xbar_bytes`, what it sends to the multiprocessors; L1 is what it returns to the load-store unit. The
sections also give the FLOP of a thread instruction:

- FP64 and FP32: 1 for an add or a multiplication, 2 for a multiply-add; twice as many for pairs on Blackwell (`ffma2`);
- FP16: 2 and 4, because an instruction works on a pair. Instructions on single numbers or in BF16, and those that only
  set a register, count the same: no counter distinguishes them.

Tensor cores: `sm__ops_path_tensor_*`, operations by instruction and by format of factors and results, as NVIDIA
recommends (https://forums.developer.nvidia.com/t/285256). A multiply-add counts as two: on an H100, GEMMs of 2048 x
2048 x 2048 counted 2 * 2048**3 in FP64, TF32, FP16, BF16, FP8 and INT8; on a B300, 4096**3 in FP8 and FP4
(https://github.com/NVIDIA/DCGM/issues/251). Zeros that a sparse GEMM skips are counted. If a counter covers several
formats, its dtype is the widest one that the device has. One-bit GEMMs are not counted. The accumulator is the format
of the results, if the name of the counter has one. A launch whose tensor cores were busy with operations that no
counter counts is left out: its FLOP are not known.

`sm__sass_thread_inst_executed_op_integer` makes the work of kernels without any FLOP: one operation an instruction.

`sm__inst_executed_pipe_tensor` counts instructions. On compute capability 7.0 each is 512 FLOP, as in the tensor
section of 2020 (https://gitlab.com/NERSC/roofline-on-nvidia-gpus): two per cycle make the 1024 of
https://cvw.cac.cornell.edu/gpu-architecture/gpu-example-tesla-v100/tensor_cores. On other devices they differ by shape.
"""

import logging
from pathlib import Path

import polars as pl

from flows.ingest.limits import UNREADABLE
from flows.ingest.profiles.nsight import counters
from flows.ingest.profiles.nsight.counters import COLLECT
from flows.ingest.profiles.nsight.groups import group_launches
from flows.ingest.profiles.nsight.peaks import find_peaks
from flows.ingest.profiles.nsight.table import (
    has_table,
    name_launch,
    open_as_csv,
    read_capabilities,
    read_launches,
)
from flows.ingest.profiles.nsight.work import Work, count_work
from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError, one_line

__all__ = ["COLLECT", "find_capabilities", "has_table", "read_nsight"]

_log = logging.getLogger(__name__)

_CONTROL = r"[\x00-\x1f\x7f-\x9f]"


def read_nsight(source: SourceFile, hardware_id: str, model_id: str | None) -> pl.DataFrame:
    """Return one row per launch, or group of equal ones, and memory level, with the columns of a measurement file.

    Launches of a kernel on one device with the same grid and block, the same FLOP, and bytes within 1 % at each level
    are one row: the mean of their times and bytes. Its FLOP are those of one pipe, tensor cores or CUDA cores,
    whichever has more, because one ceiling is theirs; its dtype and its accumulator are the ones with the most of
    those. A kernel without FLOP has "int32" if it has integer operations, which then are its work, or else "fp32".

    Then one row per ceiling that the counters state, as by `find_peaks`.

    Parameters
    ----------
    source
        The CSV, of any size: it is read in batches; or a report, which `ncu` reads.
    hardware_id, model_id
        The device and the model.

    Raises
    ------
    InputError
        The file is not an export of Nsight Compute, or lacks metrics. The message says how to collect them.
    """
    path = source.path
    try:
        with open_as_csv(path) as csv:
            launches, known = read_launches(csv, path)
        peaked = {name for name in known if counters.is_peak(name)}
        peaks = find_peaks(launches, known)
        known -= peaked
        work = count_work(launches.drop(peaked), known, path)
        rows = group_launches(work)
    except UNREADABLE as error:
        raise InputError(f"{path}: broken CSV of Nsight Compute: {one_line(error)[:200]}") from None
    if rows.is_empty() and len(work.uncounted):
        raise InputError(f"{path}: {_describe_uncounted(work)}")
    if rows.is_empty():
        raise InputError(f"{path}: no kernel with a time and bytes; collect them with: {COLLECT}")
    method = "Nsight Compute, gpu__time_duration, cache and clock conditions not stated"
    if not any("tensor" in name for name in known):
        method += ", tensor cores not counted"
    if len(work.uncounted):
        _log.warning("%s: %s", path, _describe_uncounted(work))
        method += f", {_count_uncounted(work)} left out: tensor cores busy, but not counted"
    if (rows["repeats"] > 1).any():
        method += ", mean of launches with equal work"
    if work.bypassed:
        method += ", L1 left out where loads bypass its counters (TMA, asynchronous copies)"
    rows = rows.with_columns(
        pl.lit("custom").alias("op_group"),
        pl.lit("custom").alias("kind"),
        pl.lit(method).alias("method"),
        pl.lit(None, pl.String).alias("ceiling_basis"),
    )
    return pl.concat([rows, peaks], how="diagonal").select(
        pl.lit(hardware_id).alias("hardware_id"),
        "device_name",
        pl.lit(model_id, pl.String).alias("model_id"),
        "op",
        "op_group",
        pl.lit(None, pl.String).alias("phase"),
        "kind",
        "dtype",
        "pipe",
        "accumulator",
        "level",
        "flops",
        "bytes",
        "latency_s",
        "repeats",
        "latency_min_s",
        "latency_std_s",
        "method",
        "ceiling_basis",
        pl.lit("Nsight Compute").alias("software"),
        _write_origin(path),
        pl.lit(None, pl.String).alias("license"),
    )


def find_capabilities(source: SourceFile) -> tuple[str, ...]:
    """Return the compute capabilities of the devices in a file that `read_nsight` can read."""
    with open_as_csv(source.path) as csv:
        return read_capabilities(csv, source.path)


def _count_uncounted(work: Work) -> str:
    every = len(work.launches) + len(work.uncounted)
    return f"{len(work.uncounted)} of {every} {'launch' if every == 1 else 'launches'}"


def _describe_uncounted(work: Work) -> str:
    return (
        f"{_count_uncounted(work)} left out, the first {name_launch(work.uncounted)}: its tensor cores were busy, but"
        f" no counter gives its FLOP; collect them with: {COLLECT}"
    )


def _write_origin(path: Path) -> pl.Expr:
    text = pl.lit(f"Nsight Compute ({path.name})"[:400])
    return text.str.replace_all(_CONTROL, "").alias("origin")
