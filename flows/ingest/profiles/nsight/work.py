"""FLOP by unit, and bytes by level, of each launch."""

from collections.abc import Iterable, Sequence, Set, Sized
from pathlib import Path
from typing import NamedTuple

import polars as pl

from flows.ingest.profiles.nsight import counters
from flows.ingest.profiles.nsight.counters import TensorCounter
from warehouse.errors import InputError

_VOLTA, _FLOP_ON_VOLTA = "7.0", 512
_HOPPER = 9  # the first major compute capability with TMA
_LEAST_SHARE = 0.5  # of the bytes of L2 that L1 has, unless loads bypass it

# form of a counter -> factor that makes a number per launch of it
_FACTORS = dict(zip(counters.FORMS, (pl.lit(1.0), pl.col("seconds"), pl.col("cycles")), strict=True))


class Unit(NamedTuple):
    """What does arithmetic, as far as the names of counters tell."""

    dtype: str
    pipe: str
    accumulator: str = ""

    @property
    def column(self) -> str:
        """Name of the column with its FLOP."""
        return " ".join(self)


class Work(NamedTuple):
    """Launches with their work.

    Attributes
    ----------
    launches
        One row per launch: `seconds`, the FLOP of each unit, integer operations, and the bytes of each level.
    units
        The units that have a column.
    levels
        The levels that have a column.
    uncounted
        Launches that kept tensor cores busy with operations that no counter of the file counts.
    bypassed
        How many launches lack a level `l1` because loads bypass its counters.
    """

    launches: pl.DataFrame
    units: Sequence[Unit]
    levels: Sequence[str]
    uncounted: pl.DataFrame
    bypassed: int


def count_work(launches: pl.DataFrame, known: Set[str], path: Path) -> Work:
    """Return launches with their seconds, FLOP by unit and bytes by level.

    Parameters
    ----------
    launches
        One row per launch, one column per metric.
    known
        Metrics that have numbers.
    path
        The file, as messages name it.

    Raises
    ------
    InputError
        The file has no metric of time, bytes or FLOP.
    """
    duration = [pl.col(name) for name in counters.TIME if name in known]
    cycles = [pl.col(name) for name in counters.CYCLES if name in known]
    if duration:
        cycles += [pl.col(rate) * pl.coalesce(duration) for rate in counters.CYCLES.values() if rate in known]
    rated = [name for name, rate in counters.CYCLES.items() if {name, rate} <= known]
    seconds = duration + [pl.col(name) / pl.col(counters.CYCLES[name]) for name in rated]
    usable = known if cycles else {name for name in known if not name.endswith(".per_cycle_elapsed")}
    levels, vector = _byte_expressions(usable), _vector_expressions(usable)
    tensor = [each for name in _names(usable) if (each := counters.parse_tensor_counter(name))]
    instructions = _instruction_forms(usable) if (launches["CC"] == _VOLTA).any() else []
    _refuse_missing(seconds, levels, [*vector, *tensor, *instructions], path)
    launches = (
        launches.with_columns(seconds=pl.coalesce(seconds))
        .with_columns(cycles=pl.coalesce(cycles) if cycles else pl.lit(None, pl.Float64))
        .with_columns(pl.coalesce(_counter_forms(each.name, usable)).alias(each.name) for each in tensor)
    )
    work = {unit: pl.sum_horizontal(parts) for unit, parts in vector.items()} | _tensor_expressions(tensor)
    if instructions:
        on_volta = pl.when(pl.col("CC") == _VOLTA, ~_any_positive(each.name for each in tensor))
        count = on_volta.then(pl.max_horizontal(*instructions)).otherwise(0.0).fill_null(0.0)
        unit = Unit("fp16", "tensor")
        work[unit] = work.get(unit, pl.lit(0.0)) + _FLOP_ON_VOLTA * count
    counted = launches.select(
        *(name for name in launches.columns if name not in known),
        *(number.alias(unit.column) for unit, number in work.items()),
        pl.coalesce(*_counter_forms(counters.INTEGER, usable), 0.0).alias(counters.INTEGER),
        *(number.alias(level) for level, number in levels.items()),
        is_busy=_is_busy(known) & ~_is_complete(tensor),
        has_unknown=_any_positive(each.name for each in tensor if counters.find_dtype(each.source) is None),
    ).filter(pl.col("seconds") > 0, pl.col("seconds").is_finite())
    on_tensor = pl.sum_horizontal(*(unit.column for unit in work if unit.pipe == "tensor"), pl.lit(0.0))
    uncounted = (pl.col("is_busy") & (on_tensor == 0)) | pl.col("has_unknown")
    kept, left_out = counted.filter(~uncounted), counted.filter(uncounted)
    at_warps = pl.sum_horizontal(pl.lit(0.0), *(each.name for each in tensor if each.op in counters.WARP_LEVEL))
    has_sections = "l1" in levels and not _counter_forms(counters.LEVELS["l1"][0], usable)
    kept, bypassed = _drop_bypassed(kept, (on_tensor > 0) & (at_warps == 0), levels, has_sections=has_sections)
    kept = kept.with_row_index("row")
    return Work(kept, list(work), list(levels), left_out, bypassed)


def _refuse_missing(seconds: Sized, levels: Sized, work: Sized, path: Path) -> None:
    """Raise `InputError` if a file has no metric of time, bytes or FLOP."""
    needed = {
        "time (gpu__time_duration.sum)": seconds,
        "bytes (dram__bytes.sum, lts__t_bytes.sum or l1tex__t_bytes.sum)": levels,
        "FLOP (sm__sass_thread_inst_executed_op_ffma_pred_on.sum and others)": work,
    }
    missing = [name for name, found in needed.items() if not len(found)]
    if missing:
        raise InputError(f"{path}: no metric for {', for '.join(missing)}; collect them with: {counters.COLLECT}")


def _is_busy(known: Set[str]) -> pl.Expr:
    """Return whether tensor cores ran more than FP16 instructions of threads."""
    counts = [name for name in _names(known) if counters.is_instruction_count(name)]
    every = [form for name in counts for form in _counter_forms(name, known)]
    of_threads = [
        form
        for name in _names(known)
        if counters.is_of_threads(name) and "_inst_executed_" in name
        for form in _counter_forms(name, known)
    ]
    if every:
        return pl.max_horizontal(*every).fill_null(0.0) > pl.max_horizontal(*of_threads, pl.lit(0.0)).fill_null(0.0)
    return _any_positive(name for name in sorted(known) if counters.is_busy(name) and not counters.is_of_threads(name))


def _is_complete(tensor: Sequence[TensorCounter]) -> pl.Expr:
    """Return whether tensor cores do nothing but what counters of the file cover, so that 0 means none."""
    capability = pl.col("CC").cast(pl.Float64, strict=False)
    found = pl.lit(value=False)
    for since in counters.GENERATIONS:
        is_covered = counters.covers_everything(tensor, since)
        found = pl.when(capability >= float(since)).then(is_covered).otherwise(found)
    return found


def _drop_bypassed(
    launches: pl.DataFrame, on_tensor: pl.Expr, levels: Iterable[str], *, has_sections: bool
) -> tuple[pl.DataFrame, int]:
    """Remove the bytes of L1 where most loads bypass its counters, and count these launches.

    Roofline sections (`has_sections`) count what returns to the load-store unit alone, not what is copied into shared
    memory: by TMA from Hopper on, where tensor cores read it, or by asynchronous loads. Other loads are at least as
    many bytes as come from L2; most stores and all instructions count at L2 alone.
    """
    if not {"l1", "l2"} <= set(levels):
        return launches, 0
    major = pl.col("CC").str.extract(r"^(\d+)").cast(pl.Int64, strict=False)
    can_bypass = pl.lit(value=has_sections) | ((major >= _HOPPER) & on_tensor)
    is_bypassed = (can_bypass & (pl.col("l1") < _LEAST_SHARE * pl.col("l2"))).fill_null(value=False)
    dropped = launches.select((is_bypassed & (pl.col("l1") > 0)).sum()).item()
    return launches.with_columns(l1=pl.when(~is_bypassed).then("l1")), dropped


def _byte_expressions(known: Set[str]) -> dict[str, pl.Expr]:
    """Return the bytes at each level that is counted."""
    moved = {
        level: [form for name in names for form in _counter_forms(name, known)]
        for level, names in counters.LEVELS.items()
    }
    for names in counters.READ_AND_WRITTEN:
        read, written = (_counter_forms(name, known) for name in names)
        if read and written:
            moved["dram"].append(pl.coalesce(read) + pl.coalesce(written))
    return {level: pl.coalesce(forms) for level, forms in moved.items() if forms}


def _vector_expressions(known: Set[str]) -> dict[Unit, list[pl.Expr]]:
    """Return, by unit, the FLOP of each thread instruction that is counted."""
    work: dict[Unit, list[pl.Expr]] = {}
    for dtype, instructions in counters.THREAD.items():
        for op, flop in instructions.items():
            names = [f"{unit}__sass_thread_inst_executed_op_{op}_pred_on" for unit in ("sm", "smsp")]
            if forms := [form for name in names for form in _counter_forms(name, known)]:
                work.setdefault(Unit(dtype, "vector"), []).append(flop * pl.coalesce(forms))
    return work


def _tensor_expressions(found: Sequence[TensorCounter]) -> dict[Unit, pl.Expr]:
    """Return the operations of tensor cores by unit, each counted once.

    What several counters count is the larger of a whole and the sum of its parts: with and without sparsity, of each
    family of instructions, of each format of results, and of each format of factors.
    """
    work: dict[Unit, list[pl.Expr]] = {}
    before: dict[tuple[str, ...], pl.Expr] = {}  # what is counted as these formats and not as fewer
    for source in sorted({each.source for each in found}, key=lambda source: (len(source), source)):
        dtype = counters.find_dtype(source)
        if dtype is None:
            continue
        every, by_result = _count_source([each for each in found if each.source == source])
        narrower = [number for formats, number in before.items() if set(formats) < set(source)]
        before[source] = (every - pl.sum_horizontal(*narrower, pl.lit(0.0))).clip(0)
        share = before[source] / every
        rest = (every - pl.sum_horizontal(*by_result.values(), pl.lit(0.0))).clip(0)
        for result, number in {**by_result, "": rest}.items():
            own = pl.when(every > 0).then(number * share).otherwise(0.0)
            work.setdefault(Unit(dtype, "tensor", result), []).append(own)
    return {unit: pl.sum_horizontal(parts) for unit, parts in work.items()}


def _count_source(found: Sequence[TensorCounter]) -> tuple[pl.Expr, dict[str, pl.Expr]]:
    """Return the operations that counters of one source count, and those of each format of results."""
    none = pl.lit(0.0)
    halves: dict[tuple[str, str], dict[str, pl.Expr]] = {}
    for each in found:
        halves.setdefault((each.op, each.result), {})[each.sparsity] = pl.col(each.name).fill_null(0.0)
    # by family and result; "" stands for all of them
    number = {
        key: pl.max_horizontal(named.get("", none), named.get("on", none) + named.get("off", none))
        for key, named in halves.items()
    }
    families, results = sorted({op for op, _ in number} - {""}), sorted({result for _, result in number} - {""})

    def add(keys: Iterable[tuple[str, str]]) -> pl.Expr:
        return pl.sum_horizontal(*(number[key] for key in keys if key in number), none)

    by_result = {
        result: pl.max_horizontal(add([("", result)]), add((op, result) for op in families)) for result in results
    }
    by_family = [
        pl.max_horizontal(add([(op, "")]), add((op, result) for result in results)) for op in families
    ]  # fmt: skip
    every = pl.max_horizontal(
        add([("", "")]), pl.sum_horizontal(*by_family, none), pl.sum_horizontal(*by_result.values(), none)
    )
    return every, by_result


def _instruction_forms(known: Set[str]) -> list[pl.Expr]:
    return [
        form
        for name in _names(known)
        if counters.is_instruction_count(name)
        for form in _counter_forms(name, known)
    ]  # fmt: skip


def _names(metrics: Iterable[str]) -> list[str]:
    """Return the counters of metrics."""
    return sorted({counters.split_form(metric)[0] for metric in metrics})


def _any_positive(names: Iterable[str]) -> pl.Expr:
    return pl.any_horizontal(*(pl.col(name) > 0 for name in names), pl.lit(value=False)).fill_null(value=False)


def _counter_forms(counter: str, known: Set[str]) -> list[pl.Expr]:
    """Return the number per launch of a counter, in each form that the file has."""
    return [pl.col(counter + form) * by for form, by in _FACTORS.items() if counter + form in known]
