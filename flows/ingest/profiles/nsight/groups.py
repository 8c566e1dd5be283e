"""Launches of a kernel that did the same, as one row per memory level."""

import math
from collections.abc import Sequence

import polars as pl

from flows.ingest.profiles.nsight import counters
from flows.ingest.profiles.nsight.work import Unit, Work

PIPES = ("tensor", "vector")  # the first, if both have the same FLOP
_KERNEL = ("Kernel Name", "Block Size", "Grid Size", "Device", "device_name", "CC")
_SAME_FLOPS = 0.001  # counters per cycle are printed with few digits
_SAME_BYTES = 0.01

_CONTROL = r"[\x00-\x1f\x7f-\x9f]"
_MAX_NESTED = 16  # templates in templates
_MAX_NAME_LENGTH = 100


def group_launches(work: Work) -> pl.DataFrame:
    """Return one row per group of launches and level: times, FLOP and bytes are means, so rates are sums over sums.

    A group is launches of one kernel, grid, block and device, with the same FLOP on the same units, and the same bytes
    at each level, up to 1 %. FLOP are those of the pipe with the most.
    """
    levels = list(work.levels)
    launches = (
        work.launches.with_columns(
            pl.sum_horizontal(pl.lit(0.0), *(unit.column for unit in work.units if unit.pipe == pipe)).alias(pipe)
            for pipe in PIPES
        )
        .with_columns(_find_main_unit(work.units), flops=pl.max_horizontal(PIPES))
        .with_columns(flops=pl.when(pl.col("flops") > 0).then("flops").otherwise(counters.INTEGER))
        .unnest("unit")
    )
    alike = [*_KERNEL, *Unit._fields]
    for amount, tolerance in [("flops", _SAME_FLOPS), *((level, _SAME_BYTES) for level in levels)]:
        launches = _number_alike(launches, amount, tolerance, alike)
        alike.append(f"alike {amount}")
    return (
        launches.sort("row", maintain_order=True)
        .group_by(alike, maintain_order=True)
        .agg(
            pl.col("seconds").mean().alias("latency_s"),
            pl.col("seconds").min().alias("latency_min_s"),
            pl.col("seconds").std().alias("latency_std_s"),
            pl.len().cast(pl.Int64).alias("repeats"),
            pl.col("flops", *levels).mean(),
        )
        .with_row_index("group")
        .with_columns(
            op=_shorten(pl.col("Kernel Name")),
            device_name=pl.col("device_name").str.replace_all(_CONTROL, "").str.slice(0, _MAX_NAME_LENGTH),
        )
        .unpivot(
            levels,
            index=[
                "group", "op", "device_name", *Unit._fields, "flops", "latency_s",
                "latency_min_s", "latency_std_s", "repeats",
            ],
            variable_name="level",
            value_name="bytes",
        )
        .filter(pl.col("bytes") > 0)
        .sort("group", maintain_order=True)
    )  # fmt: skip


def _number_alike(launches: pl.DataFrame, amount: str, tolerance: float, among: Sequence[str]) -> pl.DataFrame:
    """Add a number that launches have in common whose amount is the same up to a tolerance, among those alike so far.

    Launches are apart where the next larger amount is more than the tolerance away; a run of close ones that is wider
    than it is cut at its multiples.
    """
    value = pl.col(amount).fill_null(0.0)
    step = math.log1p(tolerance)
    is_next = value > value.shift(1, fill_value=0.0) * (1 + tolerance)
    with_runs = launches.sort(*among, amount, maintain_order=True).with_columns(run=is_next.cum_sum().over(among))
    lowest = value.min().over(*among, "run")
    cut = pl.when(lowest > 0).then((value / lowest).log() / step).otherwise(0.0).floor().cast(pl.Int64)
    return with_runs.with_columns(pl.struct("run", cut=cut).alias(f"alike {amount}")).drop("run")


def _find_main_unit(units: Sequence[Unit]) -> pl.Expr:
    """Return `unit`: the pipe with the most FLOP, its dtype with the most, and its accumulator with the most."""
    choices = []
    for unit in sorted(units, key=lambda unit: counters.DTYPES.index(unit.dtype)):
        own = [each for each in units if each.pipe == unit.pipe]
        alike = [each.column for each in own if each.dtype == unit.dtype]
        sums = [
            pl.sum_horizontal(each.column for each in own if each.dtype == dtype)
            for dtype in {each.dtype for each in own}
        ]
        is_pipe = (pl.col(unit.pipe) > 0) & (pl.col(unit.pipe) == pl.max_horizontal(PIPES))
        is_dtype = pl.sum_horizontal(alike) == pl.max_horizontal(sums)
        is_main = is_pipe & is_dtype & (pl.col(unit.column) == pl.max_horizontal(alike))
        choices.append(pl.when(is_main).then(_make_unit(unit)))
    has_integers = pl.when(pl.col(counters.INTEGER) > 0).then(_make_unit(Unit("int32", "vector")))
    return pl.coalesce(*choices, has_integers, _make_unit(Unit("fp32", ""))).alias("unit")


def _make_unit(unit: Unit) -> pl.Expr:
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
