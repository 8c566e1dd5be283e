"""Files of rocprof-compute (formerly Omniperf) into measurements: its kernels, and the ceilings that it measured.

`roofline.csv` has one row per device: what its own kernels reached, in GB/s and GFLOP/s. `pmc_perf.csv` has one row per
launch, with counters. FLOP: 64 for each vector instruction (128 if it multiplies and adds), 512 for each MFMA op that
is counted. Bytes from memory: requests of 32 and 64 bytes, and on CDNA 3 those of 128 bytes, which `TCC_BUBBLE` counts
(ROCm/rocprofiler-compute, utils/roofline_calc.py and the configs of the L2 cache). On CDNA 4 that sum is known to be
too low, and files that name such a device are refused.

Where their counters are there, so are the bytes of L2 (64 for each request of an L1 cache; on CDNA 3, 128 if it reads),
of L1 (64 for each access; on CDNA 3, 128) and of the LDS (4 for each of 32 banks in a cycle without conflict), as in
roofline_calc.py and, of CDNA 3, in gfx942/1600_L1_cache.yaml.
"""

import io
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import polars as pl

from flows.ingest.document import format_value
from flows.ingest.limits import UNREADABLE, refuse_too_large, refuse_utf_16
from flows.ingest.profiles.plain_text import clean_name
from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError, one_line

_MOST_BYTES = 500_000_000
# columns of roofline.csv: level of a bandwidth in GB/s, dtype and pipe of a rate in GFLOP/s
BANDWIDTHS: Mapping[str, str] = {"HBMBw": "dram", "MALLBw": "l3", "L2Bw": "l2", "L1Bw": "l1", "LDSBw": "lds"}
RATES: Mapping[str, tuple[str, str]] = {
    "FP8Flops": ("fp8", "vector"), "FP16Flops": ("fp16", "vector"), "BF16Flops": ("bf16", "vector"),
    "FP32Flops": ("fp32", "vector"), "FP64Flops": ("fp64", "vector"), "I8Ops": ("int8", "vector"),
    "MFMAF4Flops": ("fp4", "tensor"), "MFMAF6Flops": ("fp6", "tensor"), "MFMAF8Flops": ("fp8", "tensor"),
    "MFMAF16Flops": ("fp16", "tensor"), "MFMABF16Flops": ("bf16", "tensor"), "MFMAF32Flops": ("fp32", "tensor"),
    "MFMAF64Flops": ("fp64", "tensor"), "MFMAI8Ops": ("int8", "tensor"),
}  # fmt: skip
# columns of pmc_perf.csv: newer and older names
_NAMES = ("Kernel_Name", "KernelName")
_TIMES = (("Start_Timestamp", "End_Timestamp"), ("BeginNs", "EndNs"))
_VECTOR = {"fp16": "F16", "fp32": "F32", "fp64": "F64"}
_MATRIX = {
    "fp8": "F8", "fp16": "F16", "bf16": "BF16", "tf32": "XF32", "fp32": "F32", "fp64": "F64", "int8": "I8",
}  # fmt: skip
_THREADS, _OPS = 64, 512  # of a wavefront; of what MFMA_MOPS counts once
_MEMORIES = ("TCC_EA0", "TCC_EA")  # of CDNA 3, of CDNA 2
# what L1 caches ask L2 for: reads, and others
_READS = "TCP_TCC_READ_REQ_sum"
_OTHERS = tuple(f"TCP_TCC_{each}_REQ_sum" for each in ("WRITE", "ATOMIC_WITH_RET", "ATOMIC_WITHOUT_RET"))
_ACCESSES, _SHARED = "TCP_TOTAL_CACHE_ACCESSES_sum", ("SQ_LDS_IDX_ACTIVE", "SQ_LDS_BANK_CONFLICT")
_LINE, _LINE_OF_CDNA_3, _LDS_CYCLE = 64, 128, 4 * 32  # bytes
_CDNA_4 = "gfx950"
_COMMAND = "rocprof-compute profile --name NAME -- PROGRAM"


def is_rocprof_compute(columns: frozenset[str]) -> bool:
    """Return whether a table is a roofline.csv or a pmc_perf.csv."""
    has_counters = any(name.startswith(("SQ_INSTS_VALU_", "TCC_EA")) for name in columns)
    return {"HBMBw", "L2Bw"} <= columns or (bool(columns & {*_NAMES}) and has_counters)


def read_rocprof_compute(source: SourceFile, hardware_id: str, model_id: str | None) -> pl.DataFrame:
    """Return one row per ceiling, or per kernel, with the columns of a measurement file.

    Raises
    ------
    InputError
        The file is neither table, lacks counters, or a value is no number.
    """
    path = source.path
    refuse_too_large(path, source.size_bytes, _MOST_BYTES)
    content = source.read_bytes()
    refuse_utf_16(content[:64], path)
    try:
        table = pl.read_csv(io.BytesIO(content), infer_schema=False)
    except UNREADABLE as error:
        raise InputError(f"{path}: broken CSV: {one_line(error)[:200]}") from None
    table = table.rename({name: name.strip() for name in table.columns})
    rows = _read_ceilings(table, path) if "HBMBw" in table.columns else _read_kernels(table, path)
    return rows.with_columns(
        hardware_id=pl.lit(hardware_id), model_id=pl.lit(model_id, pl.String), software=pl.lit("rocprof-compute"),
        origin=pl.lit(f"{path.name}, written by rocprof-compute"[:400]),
    )  # fmt: skip


def _read_ceilings(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    numbers = _read_numbers(table, [name for name in (*BANDWIDTHS, *RATES) if name in table.columns], path)
    rows: list[dict[str, Any]] = []
    for row in numbers.iter_rows(named=True):
        for name, value in row.items():
            if value is None or value <= 0:
                continue
            if level := BANDWIDTHS.get(name):
                what = {"op": f"{level} bandwidth", "kind": "copy", "dtype": "fp32", "pipe": "", "level": level}
                rows.append({**what, "flops": 0.0, "bytes": value * 1e9})
            else:
                dtype, pipe = RATES[name]
                what = {"op": f"{dtype} {pipe} peak", "kind": "custom", "dtype": dtype, "pipe": pipe, "level": "dram"}
                rows.append({**what, "flops": value * 1e9, "bytes": 1.0})  # arithmetic on registers
    if not rows:
        raise InputError(f"{path}: no bandwidth and no rate above 0; expected a roofline.csv of rocprof-compute")
    return pl.DataFrame(rows).with_columns(
        op_group=pl.lit("ceiling"), latency_s=pl.lit(1.0), is_ceiling=pl.lit(value=True),
        method=pl.lit("rocprof-compute --roof-only, mean"),
    )  # fmt: skip


def _read_kernels(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    known = set(table.columns)
    name = next((each for each in _NAMES if each in known), None)
    times = next((pair for pair in _TIMES if {*pair} <= known), None)
    memory = next((each for each in _MEMORIES if {f"{each}_RDREQ_sum", f"{each}_WRREQ_sum"} <= known), None)
    vector = {
        dtype: [f"SQ_INSTS_VALU_{op}_{width}" for op in ("ADD", "MUL", "TRANS", "FMA")]
        for dtype, width in _VECTOR.items()
    }
    matrix = {dtype: f"SQ_INSTS_VALU_MFMA_MOPS_{width}" for dtype, width in _MATRIX.items()}
    counters = {each for each in {*matrix.values(), *(one for ops in vector.values() for one in ops)} if each in known}
    lacking = [
        what
        for what, found in (
            ("Kernel_Name", name), ("Start_Timestamp and End_Timestamp", times),
            ("TCC_EA0_RDREQ_sum and TCC_EA0_WRREQ_sum", memory), ("SQ_INSTS_VALU_FMA_F32 and others", counters),
        )
        if not found
    ]  # fmt: skip
    if name is None or times is None or memory is None or lacking:
        raise InputError(f"{path}: no column {', no column '.join(lacking)}; expected a pmc_perf.csv as by: {_COMMAND}")
    for column in ("Arch", "gpu_arch", "GPU_Arch"):
        if column in known and table[column].str.contains(_CDNA_4).fill_null(value=False).any():
            raise InputError(f"{path}: {column} = {_CDNA_4}: its counters do not give the bytes; expected CDNA 2 or 3")
    parts = [f"{memory}_{each}_sum" for each in ("RDREQ", "RDREQ_32B", "WRREQ", "WRREQ_64B")]
    of_caches = (_READS, *_OTHERS, _ACCESSES, *_SHARED)
    asked = [each for each in [*parts, "TCC_BUBBLE_sum", *of_caches, *times, *sorted(counters)] if each in known]
    numbers = _read_numbers(table, asked, path)
    missing = [each for each in [*parts, "TCC_BUBBLE_sum"] if each not in known]
    if missing and (missing != ["TCC_BUBBLE_sum"] or memory == "TCC_EA0"):
        raise InputError(f"{path}: no column {', '.join(missing)}; expected a pmc_perf.csv as by: {_COMMAND}")
    if missing:
        numbers = numbers.with_columns(TCC_BUBBLE_sum=pl.lit(0.0))
    backwards = (numbers[times[1]] < numbers[times[0]]).fill_null(value=False)
    if backwards.any():
        row = backwards.arg_max() or 0
        where = f"row {row + 1}: {times[1]} = {format_value(table[times[1]][row])}"
        raise InputError(f"{path}: {where}: expected no less than {times[0]}, {format_value(table[times[0]][row])}")
    reads, short, writes, long = (pl.col(each) for each in parts)
    wide = pl.col("TCC_BUBBLE_sum")
    work = {
        **{
            (dtype, "vector"): pl.sum_horizontal(
                pl.col(each) * (_THREADS * (2 if "_FMA_" in each else 1)) for each in ops if each in counters
            )
            for dtype, ops in vector.items()
            if counters & {*ops}
        },
        **{(dtype, "tensor"): pl.col(each) * _OPS for dtype, each in matrix.items() if each in counters},
    }
    launches = numbers.select(
        op=table[name].map_elements(clean_name, pl.String),
        latency_s=(pl.col(times[1]) - pl.col(times[0])) / 1e9,
        # counters of one launch may be of several runs, so that parts can be more than the whole
        dram=128 * wide + 64 * (reads - wide - short).clip(0) + 32 * short + 64 * long + 32 * (writes - long).clip(0),
        **_count_cache_bytes(known, line=_LINE_OF_CDNA_3 if memory == _MEMORIES[0] else _LINE),
        **{f"{dtype} {pipe}": value for (dtype, pipe), value in work.items()},
    )
    levels = [level for level in BANDWIDTHS.values() if level in launches.columns]
    launches = launches.filter(
        pl.col("latency_s") > 0, pl.any_horizontal(pl.col(levels) > 0), pl.col("op").is_not_null()
    )
    if launches.is_empty():
        raise InputError(f"{path}: no launch with a time and bytes; expected a pmc_perf.csv as by: {_COMMAND}")
    units = [f"{dtype} {pipe}" for dtype, pipe in work]
    most = pl.max_horizontal(units)
    unit = pl.coalesce(*(pl.when(most > 0, pl.col(each) == most).then(pl.lit(each)) for each in units))
    return (
        launches.select(
            "op", "latency_s", *levels, flops=pl.sum_horizontal(units), unit=unit.fill_null("fp32 ")
        )
        # launches of one kernel that do the same work are one row; the bytes of caches vary
        .group_by("op", "flops", "unit", maintain_order=True)
        .agg(
            pl.col("latency_s").median(), pl.col("latency_s").min().alias("latency_min_s"), pl.col(levels).mean(),
            pl.len().cast(pl.Int64).alias("repeats"),
        )
        .with_row_index("kernel")
        .unpivot(
            levels, index=["kernel", "op", "flops", "unit", "latency_s", "latency_min_s", "repeats"],
            variable_name="level", value_name="bytes",
        )
        .filter(pl.col("bytes") > 0)
        .sort("kernel", maintain_order=True)
        .with_columns(
            dtype=pl.col("unit").str.split(" ").list.get(0), pipe=pl.col("unit").str.split(" ").list.get(1),
            op_group=pl.lit("custom"), kind=pl.lit("custom"),
            method=pl.lit("rocprof-compute, counters, median of launches"),
        )
        .drop("unit", "kernel")
    )  # fmt: skip


def _count_cache_bytes(known: Set[str], *, line: int) -> dict[str, pl.Expr]:
    """Return the bytes of each cache whose counters are there; `line` is what a read of CDNA 2 or 3 has."""
    moved = {}
    if {_READS, *_OTHERS} <= known:
        moved["l2"] = line * pl.col(_READS) + _LINE * pl.sum_horizontal(_OTHERS)
    if _ACCESSES in known:
        moved["l1"] = line * pl.col(_ACCESSES)
    if {*_SHARED} <= known:
        active, conflicts = _SHARED
        moved["lds"] = _LDS_CYCLE * (pl.col(active) - pl.col(conflicts)).clip(0)
    return moved


def _read_numbers(table: pl.DataFrame, names: list[str], path: Path) -> pl.DataFrame:
    """Return columns as numbers; N/A and empty cells as null."""
    columns = []
    for name in names:
        text = table[name].str.strip_chars()
        number = text.cast(pl.Float64, strict=False)
        wrong = (number.is_null() | ~number.is_finite() | (number < 0)) & ~text.is_in(["", "N/A", "nan"])
        wrong = wrong.fill_null(value=False)
        if wrong.any():
            row = wrong.arg_max() or 0
            where = f"row {row + 1}: {name} = {format_value(text[row])}"
            raise InputError(f"{path}: {where}: expected a number, 0 or more")
        columns.append(number.fill_nan(None).alias(name))
    return pl.DataFrame(columns)
