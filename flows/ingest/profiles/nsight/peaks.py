"""Ceilings that counters state: what a unit does in a cycle (`peak_sustained`), times its clock.

Seen on an H100 with Nsight Compute 2025.3.1, whose roofline sections collect them: at the boost clock of 1.83 GHz of
tensor cores and 1.98 GHz of CUDA cores they are the datasheet's figures. The clock is that of the profiled launches:
`ncu` holds a device at its base clock unless told otherwise.

A counter of tensor cores without a word on sparsity has the sparse peak, twice the dense one, except in fp64, which has
no sparse products, and on devices before Ampere, which have none at all. So the dense peak is that of `sparsity_off`.
"""

from collections.abc import Iterator, Set
from typing import NamedTuple

import polars as pl

from flows.ingest.profiles.nsight import counters

_FIRST_WITH_SPARSITY = 8  # major compute capability
_NEVER_SPARSE = "fp64"


class Peak(NamedTuple):
    """A ceiling: of arithmetic in a dtype, or of the bytes of a level, whose dtype is empty."""

    dtype: str
    level: str
    pipe: str
    accumulator: str
    counter: str
    each: float
    unit: str


def find_peaks(launches: pl.DataFrame, known: Set[str]) -> pl.DataFrame:
    """Return one row per ceiling, at the highest clock of all launches, with columns of a measurement file.

    Parameters
    ----------
    launches
        One row per launch, one column per metric.
    known
        Metrics that have numbers.
    """
    peaks = [*_list_bandwidths(), *_list_instructions(), *_list_products(launches, known)]
    usable = [
        peak for peak in peaks if {peak.counter + counters.PEAK, counters.CLOCKS[peak.unit]} <= known
    ]  # fmt: skip
    found = [row for peak in usable if (row := _multiply(peak, launches)) is not None]
    return pl.concat(found) if found else pl.DataFrame()


def _multiply(peak: Peak, launches: pl.DataFrame) -> pl.DataFrame | None:
    """Return the row of a ceiling, as of a kernel that runs for a second; None if no launch has both numbers."""
    clock = pl.col(counters.CLOCKS[peak.unit])
    best = (
        launches.select("device_name", clock=clock, value=pl.col(peak.counter + counters.PEAK) * clock * peak.each)
        .filter(pl.col("value") > 0)
        .sort("value", descending=True, maintain_order=True)
        .head(1)
    )
    if best.is_empty():
        return None
    at = pl.format("{} MHz", (pl.col("clock") / 1e6).round().cast(pl.Int64))
    unit = "" if peak.dtype == "" else f"{peak.each:.0f} x "
    by = pl.format("counters of Nsight Compute on {}: ", pl.col("device_name").fill_null("a device without a name"))
    times = pl.format(f"{unit}{peak.counter}{counters.PEAK} x {{}} of {peak.unit}", at)
    return best.select(
        "device_name",
        op=pl.lit(f"{peak.dtype or peak.level} peak"),
        op_group=pl.lit("ceiling"),
        kind=pl.lit("custom" if peak.dtype else "copy"),
        dtype=pl.lit(peak.dtype or "fp32"),
        level=pl.lit(peak.level),
        pipe=pl.lit(peak.pipe),
        accumulator=pl.lit(peak.accumulator),
        flops="value" if peak.dtype else pl.lit(0.0),
        bytes=pl.lit(1.0) if peak.dtype else "value",
        latency_s=pl.lit(1.0),
        method=by + times,
        ceiling_basis=pl.lit("counter"),
    )


def _list_bandwidths() -> Iterator[Peak]:
    for level, (counter, unit) in counters.PEAK_BYTES.items():
        yield Peak("", level, "", "", counter, 1.0, unit)


def _list_instructions() -> Iterator[Peak]:
    for dtype, (counter, flops) in counters.PEAK_INSTRUCTIONS.items():
        yield Peak(dtype, "dram", "vector", "", counter, flops, "sm")


def _list_products(launches: pl.DataFrame, known: Set[str]) -> Iterator[Peak]:
    """Yield the dense peaks of tensor cores: of each dtype those of the family of instructions that does the most."""
    major = launches["CC"].str.extract(r"^(\d+)").cast(pl.Int64, strict=False).max()
    is_dense = isinstance(major, int) and major < _FIRST_WITH_SPARSITY
    dense: dict[str, dict[str, dict[str, tuple[float, str]]]] = {}  # dtype, family, accumulator -> peak, counter
    for metric in sorted(known):
        each = counters.parse_tensor_counter(metric.removesuffix(counters.PEAK)) if counters.is_peak(metric) else None
        dtype = counters.find_dtype(each.source) if each else None
        if each is None or dtype is None:
            continue
        if each.sparsity == "off" or (each.sparsity == "" and (is_dense or dtype == _NEVER_SPARSE)):
            value = launches[metric].max()
            family = dense.setdefault(dtype, {}).setdefault(each.op, {})
            if isinstance(value, float):
                family[each.result] = max(family.get(each.result, (0.0, "")), (value, each.name))
    for dtype, families in dense.items():
        fastest = max(families.values(), key=lambda family: max(family.values(), default=(0.0, "")))
        for result, (_, counter) in fastest.items():
            yield Peak(dtype, "dram", "tensor", result, counter, 1.0, "sm")
