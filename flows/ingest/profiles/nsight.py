"""CSV exports of NVIDIA Nsight Compute (`ncu --csv`) into measurements, one row per kernel and memory level.

Both layouts are read: one row per metric (`ncu --csv --metrics ...`, `--page details`), and one column per metric with
a row of units below the names (`--page raw`). Lines before the table are skipped.

Time is `gpu__time_duration`, or cycles divided by their rate. The bytes of a level are `dram__bytes` (or the sum of
read and written), `lts__t_bytes` and `l1tex__t_bytes`: all that was requested from it. A kernel without bytes at a
level (TMA bypasses L1) has no row there. Counters per second are multiplied by the time, counters per cycle by the
elapsed cycles of a multiprocessor, as in the roofline sections of Nsight Compute 2025.3.1
(`SpeedOfLight_Hierarchical*.section`). Those sections also give the FLOP of a thread instruction:

- FP64 and FP32: 1 for an add or a multiplication, 2 for a multiply-add; twice as many for pairs on Blackwell (`ffma2`);
- FP16: 2 and 4, because an instruction works on a pair. Instructions on single numbers or in BF16, and those that only
  set a register, count the same: no counter distinguishes them.

Tensor cores: `sm__ops_path_tensor_src_*`, operations by format of the factors (or `sm__ops_path_tensor_op_*_src_*`, the
same by instruction, if a file has only those), as NVIDIA recommends
(https://forums.developer.nvidia.com/t/285256). A multiply-add counts as two: on an H100, GEMMs of 2048 x 2048 x 2048
counted 2 * 2048**3 in FP64, TF32, FP16, BF16, FP8 and INT8. Zeros that a sparse GEMM skips are counted. If a counter
covers several formats, its dtype is the widest one that the device has. One-bit GEMMs are not counted. The accumulator
is the format of the results, if the name of the counter has one.

`sm__sass_thread_inst_executed_op_integer` makes the work of kernels without any FLOP: one operation an instruction.

`sm__inst_executed_pipe_tensor` counts instructions. On compute capability 7.0 each is 512 FLOP, as in the tensor
section of 2020 (https://gitlab.com/NERSC/roofline-on-nvidia-gpus): two per cycle make the 1024 of
https://cvw.cac.cornell.edu/gpu-architecture/gpu-example-tesla-v100/tensor_cores. On other devices they differ by shape.
"""

import re
from collections.abc import Iterable, Sequence, Set, Sized
from pathlib import Path
from typing import NamedTuple

import polars as pl

from flows.ingest.document import format_value
from flows.ingest.limits import MAX_LINE_BYTES, UNREADABLE, refuse_long_lines
from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError, one_line

COLLECT = (
    "ncu --csv --page raw --metrics 'gpu__time_duration.sum,dram__bytes.sum,lts__t_bytes.sum,l1tex__t_bytes.sum,"
    "regex:^sm__sass_thread_inst_executed_op_[dfh](add|mul|fma)2?_pred_on[.]sum$,"
    "regex:^sm__ops_path_tensor_src_.*[.]sum$,sm__inst_executed_pipe_tensor.sum'"
)

_HEADER = re.compile(rb'^(\xef\xbb\xbf)?"?ID"?,.*"?Kernel Name"?')
_NUMBER = r"^(\d{1,3}(,\d{3})+|\d+)(\.\d*)?([eE][+-]?\d+)?$"
_LARGEST = 1e30
_ABSENT = ("", "n/a", "nan", "no data")  # values of metrics that the device does not have
_CONTROL = r"[\x00-\x1f\x7f-\x9f]"
_MAX_NESTED = 16  # templates in templates
_MAX_NAME_LENGTH = 100

_DEVICE = "device__attribute_display_name"
_TIME = ("gpu__time_duration.sum", "Duration")  # the second is the label on the details page
_CYCLES = {f"{unit}__cycles_elapsed.avg": f"{unit}__cycles_elapsed.avg.per_second" for unit in ("sm", "smsp")}
_LEVELS = {"dram": "dram__bytes", "l2": "lts__t_bytes", "l1": "l1tex__t_bytes"}
_READ, _WRITTEN = "dram__bytes_read", "dram__bytes_write"
# dtype -> thread instruction -> its FLOP
_THREAD = {
    "fp64": {"dadd": 1, "dmul": 1, "dfma": 2},
    "fp32": {"fadd": 1, "fmul": 1, "ffma": 2, "fadd2": 2, "fmul2": 2, "ffma2": 4},
    "fp16": {"hadd": 2, "hmul": 2, "hfma": 4},
}
# dtype -> formats of factors and results in the names of counters, all those that one device can have
_TENSOR = {
    "fp64": ("fp64",),
    "tf32": ("tf32_dst_fp32",),
    "fp16": ("fp16", "fp16_dst_fp16", "fp16_dst_fp32", "fp16_bf16_tf32_dst_fp32"),  # the last on Turing: only FP16
    "bf16": ("bf16_dst_fp32",),
    "fp8": ("fp8", "fp8_dst_fp16", "fp8_dst_fp32", "fp4_fp6_fp8_dst_fp16", "fp4_fp6_fp8_dst_fp32"),
    "fp6": ("fp4_fp6_dst_fp16", "fp4_fp6_dst_fp32"),
    "fp4": ("fp4_dst_fp32",),
    "int8": ("int8",),
    "int4": ("int4",),
}
_DTYPES = tuple(dict.fromkeys((*_TENSOR, *_THREAD)))
_ACCUMULATOR = re.compile(r"_dst_(fp16|fp32)$")
_INTEGER = "sm__sass_thread_inst_executed_op_integer_pred_on"
_THREAD_COUNTERS = {
    op: [f"{unit}__sass_thread_inst_executed_op_{op}_pred_on" for unit in ("sm", "smsp")]
    for instructions in _THREAD.values()
    for op in instructions
}
_TENSOR_PATH = "sm__ops_path_tensor_"
_ALL_OPS, _EACH_OP = ("src_",), ("op_hmma_src_", "op_imma_src_", "op_dmma_src_")
_SPARSITY = ("_sparsity_off", "_sparsity_on")
_TENSOR_COUNTERS = [
    f"{_TENSOR_PATH}{op}{name}{sparsity}"
    for op in (*_ALL_OPS, *_EACH_OP)
    for names in _TENSOR.values()
    for name in names
    for sparsity in ("", *_SPARSITY)
]
_TENSOR_INSTRUCTIONS = [
    f"{unit}__inst_executed_pipe_tensor{op}"
    for unit in ("sm", "smsp")
    for op in ("", "_op_hmma", "_op_imma", "_op_dmma")
]
_VOLTA, _FLOP_ON_VOLTA = "7.0", 512


class _Unit(NamedTuple):
    """What does arithmetic, as far as the names of counters tell."""

    dtype: str
    pipe: str
    accumulator: str = ""

    @property
    def column(self) -> str:
        """Name of the column with its FLOP."""
        return " ".join(self)


# form of a counter -> factor that makes a number per launch of it
_FORMS = {".sum": pl.lit(1.0), ".sum.per_second": pl.col("seconds"), ".sum.per_cycle_elapsed": pl.col("cycles")}
_COUNTERS = (
    *_LEVELS.values(), _READ, _WRITTEN, _INTEGER, *(name for names in _THREAD_COUNTERS.values() for name in names),
    *_TENSOR_COUNTERS, *_TENSOR_INSTRUCTIONS,
)  # fmt: skip
_METRICS = {_DEVICE, *_TIME, *_CYCLES, *_CYCLES.values()} | {name + form for name in _COUNTERS for form in _FORMS}

_LARGE = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_SMALL = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_SCALES = {
    "time": {prefix + unit: scale for prefix, scale in _SMALL.items() for unit in ("s", "second")},
    "bytes": {prefix + unit: scale for prefix, scale in _LARGE.items() for unit in ("byte", "B")},
    "count": {prefix + unit: scale for prefix, scale in _LARGE.items() for unit in ("", "inst", "cycle")},
}
_EXAMPLES = {"time": "ns, usecond", "bytes": "byte, Mbyte, Gbyte/s", "count": "inst, inst/cycle, Ghz, cycle/nsecond"}


def read_nsight(source: SourceFile, hardware_id: str, model_id: str | None) -> pl.DataFrame:
    """Return one row per kernel and memory level, with the columns of a measurement file.

    Launches of a kernel with the same grid and block are one row. Its FLOP are those of all dtypes, its dtype is the
    one with the most FLOP, and so are its pipe and accumulator; a kernel without FLOP has "int32" if it has integer
    operations, which then are its work, or else "fp32".

    Parameters
    ----------
    source
        The CSV, of any size: it is read in batches.
    hardware_id, model_id
        The device and the model, which the file does not name.

    Raises
    ------
    InputError
        The file is not an export of Nsight Compute, or lacks metrics. The message says how to collect them.
    """
    path = source.path
    try:
        refuse_long_lines(path)
        launches, known = _read_launches(path)
        rows = _merge_launches(*_count_work(launches, known, path))
    except UNREADABLE as error:
        raise InputError(f"{path}: broken CSV of Nsight Compute: {one_line(error)[:200]}") from None
    if rows.is_empty():
        raise InputError(f"{path}: no kernel with a time and bytes; collect them with: {COLLECT}")
    method = "Nsight Compute, gpu__time_duration, cache and clock conditions not stated"
    if not any("tensor" in name for name in known):
        method += ", tensor cores not counted"
    return rows.select(
        pl.lit(hardware_id).alias("hardware_id"),
        "device_name",
        pl.lit(model_id, pl.String).alias("model_id"),
        "op",
        pl.lit("custom").alias("op_group"),
        pl.lit(None, pl.String).alias("phase"),
        pl.lit("custom").alias("kind"),
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
        pl.lit(method).alias("method"),
        pl.lit("Nsight Compute").alias("software"),
        pl.lit(f"Nsight Compute's CSV ({path.name})"[:400]).str.replace_all(_CONTROL, "").alias("origin"),
        pl.lit(None, pl.String).alias("license"),
    )


def _read_launches(path: Path) -> tuple[pl.DataFrame, set[str]]:
    """Return one row per launch, one column per metric (seconds, bytes, counts), and the metrics that have numbers."""
    lines = _scan_metrics(path)
    text = pl.col("Metric Value").str.strip_chars().str.strip_prefix("(!) ")
    value = text.str.replace_all(",", "").cast(pl.Float64, strict=False)
    given = ~text.str.to_lowercase().is_in(_ABSENT) & (pl.col("Metric Name") != _DEVICE)
    broken = given & ~(text.str.contains(_NUMBER) & (value <= _LARGEST)).fill_null(value=False)
    found = (
        lines.group_by("Metric Name", "Metric Unit")
        .agg(
            given.any().alias("given"),
            *(pl.when(broken).then(name).max().alias(f"broken {name}") for name in ("ID", "Metric Value")),
        )
        .sort("Metric Name", "Metric Unit")
        .collect(engine="streaming")
    )
    scales: dict[tuple[str, str], float] = {}
    for metric, unit, any_given, launch, wrong in found.iter_rows():
        if wrong is not None:
            raise InputError(f"{path}: {metric} of ID {launch} = {format_value(wrong)}: expected a number, 0 or more")
        if any_given:
            scales[metric, unit] = _find_scale(metric, unit, path)
    known = {metric for metric, _ in scales}
    scale = pl.DataFrame(
        [(metric, unit, scale) for (metric, unit), scale in scales.items()],
        schema={"Metric Name": pl.String, "Metric Unit": pl.String, "scale": pl.Float64},
        orient="row",
    )
    launches = (
        lines.join(scale.lazy(), on=["Metric Name", "Metric Unit"], how="left")
        .group_by("ID", "Process ID", "Kernel Name", "Block Size", "Grid Size", "CC")
        .agg(
            pl.when(pl.col("Metric Name") == _DEVICE).then("Metric Value").max().alias("device_name"),
            *(
                pl.when(pl.col("Metric Name") == name, given).then(value * pl.col("scale")).max().alias(name)
                for name in sorted(known)
            ),
        )
        .sort("ID", "Process ID", "Kernel Name", "Block Size", "Grid Size", "CC")
        .collect(engine="streaming")
    )
    return launches, known


def _scan_metrics(path: Path) -> pl.LazyFrame:
    """Return one row per launch and metric that is used here, from either layout."""
    table = pl.scan_csv(
        path, skip_lines=_count_lines_before_header(path), infer_schema=False, encoding="utf8-lossy", glob=False,
        truncate_ragged_lines=True,
    )  # fmt: skip
    names = table.collect_schema().names()
    keys = ("ID", "Process ID", "Kernel Name", "Block Size", "Grid Size", "CC")  # early versions lack some
    keyed = [pl.col(name) if name in names else pl.lit("").alias(name) for name in keys]
    if "Metric Name" in names:
        missing = [name for name in ("Metric Unit", "Metric Value") if name not in names]
        if missing:
            raise InputError(f'{path}: no column "{missing[0]}"; expected Nsight Compute\'s CSV')
        lines = table.select(*keyed, "Metric Name", "Metric Unit", "Metric Value")
    else:
        metrics = [name for name in names if name in _METRICS]
        first = table.select("ID", *metrics).head(1).collect()
        units = {name: first[name][0] or "" for name in metrics} if len(first) and not first["ID"][0] else {}
        lines = (
            table.select(*keyed, *metrics)
            .unpivot(metrics, index=list(keys), variable_name="Metric Name", value_name="Metric Value")
            .with_columns(
                pl.col("Metric Name").replace_strict(units, default="", return_dtype=pl.String).alias("Metric Unit")
            )
        )
    return (
        lines.filter(pl.col("Metric Name").is_in(_METRICS), pl.col("Kernel Name") != "")
        .with_columns(
            # rows of units, output of the program and repeated headers have no number here
            pl.col("ID").cast(pl.Int64, strict=False),
            pl.exclude("ID").fill_null(""),
        )
        .filter(pl.col("ID").is_not_null())
    )


def _count_lines_before_header(path: Path) -> int:
    skipped = 0
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES):
            if _HEADER.match(line):
                return skipped
            skipped += line.endswith(b"\n")
    raise InputError(f'{path}: no line with "ID" and "Kernel Name"; expected Nsight Compute\'s CSV, from: {COLLECT}')


def _find_scale(metric: str, unit: str, path: Path) -> float:
    """Return the factor that converts a metric to seconds, bytes or counts, or to a rate per second or cycle."""
    what = "time" if metric in _TIME else "bytes" if "bytes" in metric else "count"
    scales = _SCALES[what]
    amount, per, divisor = re.sub("[hH]z$", "cycle/s", unit.strip()).partition("/")
    divisors = {"": 1.0}
    if per and metric.endswith(".per_second"):
        divisors = _SCALES["time"]
    elif per and metric.endswith(".per_cycle_elapsed"):
        divisors = {"cycle": 1.0}
    if amount not in scales or divisor not in divisors:
        raise InputError(f"{path}: {metric}: unit {format_value(unit)}: expected a unit, e.g. {_EXAMPLES[what]}")
    return scales[amount] / divisors[divisor]


def _count_work(launches: pl.DataFrame, known: Set[str], path: Path) -> tuple[pl.DataFrame, list[_Unit]]:
    """Return one row per launch with its seconds, FLOP by unit and bytes by level, and the units."""
    duration = [pl.col(name) for name in _TIME if name in known]
    cycles = [pl.col(name) for name in _CYCLES if name in known]
    if duration:
        cycles += [pl.col(rate) * pl.coalesce(duration) for rate in _CYCLES.values() if rate in known]
    seconds = duration + [pl.col(name) / pl.col(rate) for name, rate in _CYCLES.items() if {name, rate} <= known]
    usable = known if cycles else {name for name in known if not name.endswith(".per_cycle_elapsed")}
    levels, work = _byte_expressions(usable), _flop_expressions(usable)
    _refuse_missing(seconds, levels, work, path)
    launches = launches.with_columns(seconds=pl.coalesce(seconds)).with_columns(
        cycles=pl.coalesce(cycles) if cycles else pl.lit(None, pl.Float64)
    )
    instructions = [form for name in _TENSOR_INSTRUCTIONS for form in _counter_forms([name], usable)]
    if instructions and not any(name.startswith(_TENSOR_PATH) for name in usable):
        count = pl.max_horizontal(instructions)
        _refuse_uncounted(launches.filter(count > 0, pl.col("CC") != _VOLTA), path)
        work.setdefault(_Unit("fp16", "tensor"), []).append(_FLOP_ON_VOLTA * count)
    integers = _counter_forms([_INTEGER], usable)
    counted = launches.select(
        "Kernel Name", "Block Size", "Grid Size", "device_name", "seconds",
        *(pl.sum_horizontal(parts).alias(unit.column) for unit, parts in work.items()),
        pl.coalesce(*integers, 0.0).alias(_INTEGER),
        *(number.alias(level) for level, number in levels.items()),
    )  # fmt: skip
    return counted.filter(pl.col("seconds") > 0, pl.col("seconds").is_finite()), list(work)


def _refuse_missing(seconds: Sized, levels: Sized, work: Sized, path: Path) -> None:
    """Raise `InputError` if a file has no metric of time, bytes or FLOP."""
    needed = {
        "time (gpu__time_duration.sum)": seconds,
        "bytes (dram__bytes.sum, lts__t_bytes.sum or l1tex__t_bytes.sum)": levels,
        "FLOP (sm__sass_thread_inst_executed_op_ffma_pred_on.sum and others)": work,
    }
    missing = [name for name, found in needed.items() if not len(found)]
    if missing:
        raise InputError(f"{path}: no metric for {', for '.join(missing)}; collect them with: {COLLECT}")


def _refuse_uncounted(launches: pl.DataFrame, path: Path) -> None:
    """Raise `InputError` for the first launch that used tensor cores without counting their FLOP."""
    for kernel in launches["Kernel Name"].head(1):
        raise InputError(
            f"{path}: {format_value(kernel)}: sm__inst_executed_pipe_tensor counts instructions, whose FLOP are"
            f" known for compute capability {_VOLTA} only; collect sm__ops_path_tensor_src_* with: {COLLECT}"
        )


def _byte_expressions(known: Set[str]) -> dict[str, pl.Expr]:
    """Return the bytes at each level that is counted."""
    moved = {level: _counter_forms([counter], known) for level, counter in _LEVELS.items()}
    read, written = _counter_forms([_READ], known), _counter_forms([_WRITTEN], known)
    if read and written:
        moved["dram"].append(pl.coalesce(read) + pl.coalesce(written))
    return {level: pl.coalesce(forms) for level, forms in moved.items() if forms}


def _flop_expressions(known: Set[str]) -> dict[_Unit, list[pl.Expr]]:
    """Return, by unit, the FLOP of each instruction that is counted."""
    work: dict[_Unit, list[pl.Expr]] = {}
    for dtype, instructions in _THREAD.items():
        for op, flop in instructions.items():
            if forms := _counter_forms(_THREAD_COUNTERS[op], known):
                work.setdefault(_Unit(dtype, "vector"), []).append(flop * pl.coalesce(forms))
    for dtype, formats in _TENSOR.items():
        for name in formats:
            found = _ACCUMULATOR.search(name)
            unit = _Unit(dtype, "tensor", found[1] if found else "")
            if parts := _tensor_expressions(name, _ALL_OPS, known) or _tensor_expressions(name, _EACH_OP, known):
                work.setdefault(unit, []).extend(parts)
    return work


def _tensor_expressions(name: str, ops: Iterable[str], known: Set[str]) -> list[pl.Expr]:
    """Return the operations of tensor cores on a format, by op: those with and without sparsity together."""
    parts = []
    for counter in (f"{_TENSOR_PATH}{op}{name}" for op in ops):
        halves = [pl.coalesce(forms) for half in _SPARSITY if (forms := _counter_forms([counter + half], known))]
        if whole := _counter_forms([counter], known):
            parts.append(pl.coalesce(whole))
        elif halves:
            parts.append(pl.sum_horizontal(halves))
    return parts


def _counter_forms(counters: Iterable[str], known: Set[str]) -> list[pl.Expr]:
    """Return the number per launch of equivalent counters, in each form that the file has."""
    return [pl.col(name + form) * by for name in counters for form, by in _FORMS.items() if name + form in known]


def _merge_launches(launches: pl.DataFrame, units: Sequence[_Unit]) -> pl.DataFrame:
    """Return one row per kernel, grid, block and level."""
    levels = [name for name in _LEVELS if name in launches.columns]
    work = [unit.column for unit in units]
    return (
        launches.group_by("Kernel Name", "Block Size", "Grid Size", "device_name", maintain_order=True)
        .agg(
            pl.col("seconds").median().alias("latency_s"),
            pl.col("seconds").min().alias("latency_min_s"),
            pl.col("seconds").std().alias("latency_std_s"),
            pl.len().cast(pl.Int64).alias("repeats"),
            pl.col(*work, _INTEGER, *levels).mean(),
        )
        .with_row_index("row")
        .with_columns(
            op=_shorten(pl.col("Kernel Name")),
            device_name=pl.col("device_name").str.replace_all(_CONTROL, "").str.slice(0, _MAX_NAME_LENGTH),
            flops=pl.sum_horizontal(work),
        )
        .with_columns(_find_main_unit(units))
        .with_columns(flops=pl.when(pl.col("flops") > 0).then("flops").otherwise(_INTEGER))
        .unnest("unit")
        .unpivot(
            levels,
            index=[
                "row", "op", "device_name", *_Unit._fields, "flops", "latency_s", "latency_min_s", "latency_std_s",
                "repeats",
            ],
            variable_name="level",
            value_name="bytes",
        )
        .filter(pl.col("bytes") > 0)
        .sort("row", maintain_order=True)
    )  # fmt: skip


def _find_main_unit(units: Sequence[_Unit]) -> pl.Expr:
    """Return `unit`: the dtype with the most FLOP, and the pipe and accumulator with the most of those."""
    by_dtype = {
        dtype: [unit for unit in units if unit.dtype == dtype]
        for dtype in sorted({unit.dtype for unit in units}, key=_DTYPES.index)
    }
    sums = {dtype: pl.sum_horizontal(unit.column for unit in own) for dtype, own in by_dtype.items()}
    most = pl.max_horizontal(*sums.values())
    choices = [
        pl.when(most > 0, sums[dtype] == most, pl.col(unit.column) == pl.max_horizontal(each.column for each in own))
        .then(_make_unit(unit))
        for dtype, own in by_dtype.items()
        for unit in own
    ]  # fmt: skip
    has_integers = pl.when(pl.col(_INTEGER) > 0).then(_make_unit(_Unit("int32", "vector")))
    return pl.coalesce(*choices, has_integers, _make_unit(_Unit("fp32", ""))).alias("unit")


def _make_unit(unit: _Unit) -> pl.Expr:
    return pl.struct([pl.lit(value).alias(name) for name, value in unit._asdict().items()])


def _shorten(name: pl.Expr) -> pl.Expr:
    """Return the name of a kernel without template arguments, parameters, `void` and anonymous namespaces."""
    short = name.str.replace_all(r"(<unnamed>|\(anonymous namespace\))::", "").str.replace_all(_CONTROL, "")
    for _ in range(_MAX_NESTED):
        short = short.str.replace_all("<[^<>]*>", "")
    short = (
        short.str.replace("[(<].*$", "").str.replace(r"^void\s+", "").str.slice(0, _MAX_NAME_LENGTH).str.strip_chars()
    )
    return pl.when(short != "").then(short).otherwise(pl.lit("kernel"))
