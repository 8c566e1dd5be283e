"""Measured ceilings: the fastest of the kernels that were measured to find a ceiling, by file.

Which kernels those are, a measurement file says (`is_ceiling`): the kernels of users never become ceilings unasked.
"""

from collections.abc import Sequence

import polars as pl

from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError, collect_refusals

# Smaller kernels do not show the largest rate.
_MIN_FLOPS, _MIN_BYTES = 1e9, 1e6
_LARGEST_SHARE = 1.05  # of the datasheet's ceiling: more is an error in dtype, sparsity, time or device
_KEY = ["hardware_id", "kind", "name", "pipe", "accumulator"]


def add_measured_ceilings(
    ceilings: pl.DataFrame,
    measurements: pl.LazyFrame,
    sources: Sequence[SourceFile],
    counters: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return the rows of core.ceiling: those of device files, then the measured ones, then those of counters.

    The first of a dtype or level is its default if no file says which is.

    Raises
    ------
    InputError
        As `find_measured_ceilings`.
    """
    found = find_measured_ceilings(ceilings, measurements, sources).select(ceilings.columns)
    key = ["hardware_id", "kind", "name", "basis"]
    of_counters = [] if counters is None else [counters.select(ceilings.columns)]
    every = pl.concat([ceilings, found, *of_counters], how="vertical_relaxed")
    order = pl.col("preference").fill_null(10**6).rank("ordinal").over(key).cast(pl.Int64)
    group = ["hardware_id", "kind", "name"]
    is_first = pl.int_range(pl.len()).over(group) == 0
    stands_in = ~pl.col("is_default").any().over(group) & is_first
    return every.with_columns(preference=order, is_default=pl.col("is_default") | stands_in)


def find_measured_ceilings(
    ceilings: pl.DataFrame, measurements: pl.LazyFrame, sources: Sequence[SourceFile]
) -> pl.DataFrame:
    """Return the largest bandwidth of each level, and the largest rate of each dtype, pipe and accumulator, by file.

    Copies, triads and kernels left of the ridge show a bandwidth, GEMMs and other kernels a rate of arithmetic.

    Parameters
    ----------
    ceilings
        The ceilings of device files.
    measurements
        Rows of core.measurement; only those that are ceiling measurements count.
    sources
        The files that they come from.

    Raises
    ------
    InputError
        A measured ceiling of arithmetic or DRAM is more than 5 % above the datasheet's.
    """
    moved = pl.col("shows_bandwidth")
    shape = pl.concat_str(["m", "k", "n"], separator=" x ", ignore_nulls=True)
    fastest = (
        _mark_what_they_show(measurements.filter("is_ceiling"), ceilings)
        .filter((moved & (pl.col("bytes") >= _MIN_BYTES)) | (~moved & (pl.col("flops") >= _MIN_FLOPS)))
        .filter(moved | (pl.col("level") == "dram"))
        .select(
            "source_id",
            "hardware_id",
            kind=pl.when(moved).then(pl.lit("bandwidth")).otherwise(pl.lit("compute")),
            name=pl.when(moved).then("level").otherwise("dtype"),
            pipe=pl.when(moved).then(pl.lit("")).otherwise("pipe"),
            accumulator=pl.when(moved).then(pl.lit("")).otherwise("accumulator"),
            value_per_s=pl.when(moved).then("bytes").otherwise("flops") / pl.col("latency_s"),
            what=pl.concat_str(pl.lit("largest "), "op", pl.lit(" "), shape).str.strip_chars_end(),
            note="software",
        )
        .group_by("source_id", *_KEY)
        .agg(pl.col("value_per_s").max(), pl.col("what", "note").get(pl.col("value_per_s").arg_max()))
        .collect()
    )
    places = {source.source_id: source.display_path for source in sources}
    order = ["hardware_id", "kind", "name", "value_per_s", "source_id", "pipe", "accumulator"]
    found = fastest.sort(order, descending=[name == "value_per_s" for name in order]).with_columns(
        basis=pl.lit("measured"),
        origin=pl.concat_str(pl.col("source_id").replace(places), pl.lit(": "), "what"),
        is_default=pl.lit(value=False),
        preference=pl.lit(None, pl.Int64),
        ceiling_name=pl.lit(""),
        reduces_in_switch=pl.lit(None, pl.Boolean),
        switch_devices=pl.lit(None, pl.Int64),
    )
    _refuse_high_ceilings(found, ceilings, sources)
    return found


def _mark_what_they_show(measurements: pl.LazyFrame, ceilings: pl.DataFrame) -> pl.LazyFrame:
    """Add `shows_bandwidth`: whether the bytes of a kernel set its time, by its kind or else by its place."""
    default = ceilings.lazy().filter("is_default")
    bandwidth = default.filter(kind="bandwidth").select("hardware_id", level="name", bandwidth="value_per_s")
    peak = default.filter(kind="compute").select("hardware_id", dtype="name", peak="value_per_s")
    of_pipe = (
        ceilings.lazy()
        .filter(pl.col("pipe") != "", kind="compute")
        .group_by("hardware_id", "pipe", dtype="name")
        .agg(peak_of_pipe=pl.col("value_per_s").max())
    )
    ridge = pl.coalesce("peak_of_pipe", "peak") / pl.col("bandwidth")
    left_of_ridge = pl.col("flops") / pl.col("bytes") < ridge
    shows_bandwidth = (
        pl.when(pl.col("kind").is_in(["copy", "triad"]) | (pl.col("flops") == 0))
        .then(pl.lit(value=True))
        .when(pl.col("kind") == "linear")
        .then(pl.lit(value=False))
        .otherwise(left_of_ridge.fill_null(value=False))
    )
    return (
        measurements.join(bandwidth, on=["hardware_id", "level"], how="left")
        .join(peak, on=["hardware_id", "dtype"], how="left")
        .join(of_pipe, on=["hardware_id", "dtype", "pipe"], how="left")
        .with_columns(shows_bandwidth=shows_bandwidth)
    )


def _refuse_high_ceilings(found: pl.DataFrame, ceilings: pl.DataFrame, sources: Sequence[SourceFile]) -> None:
    """Raise `InputError` for measured ceilings of arithmetic or DRAM that are above the datasheet's."""
    stated = ceilings.filter(basis="datasheet").select(
        "hardware_id", "kind", "name", of_pipe="pipe", of_accumulator="accumulator", stated_per_s="value_per_s"
    )
    one_is_empty = (
        (pl.col(name) == pl.col(f"of_{name}")) | (pl.col(name) == "") | (pl.col(f"of_{name}") == "")
        for name in ("pipe", "accumulator")
    )
    high = (
        found.filter((pl.col("kind") == "compute") | (pl.col("name") == "dram"))
        .join(stated, on=["hardware_id", "kind", "name"], how="inner", maintain_order="left")
        .filter(*one_is_empty)
        .group_by("source_id", *_KEY, "value_per_s", "what", maintain_order=True)
        .agg(pl.col("stated_per_s").max())
        .filter(pl.col("value_per_s") > _LARGEST_SHARE * pl.col("stated_per_s"))
    )
    with collect_refusals() as each:
        for row in high.iter_rows(named=True):
            with each():
                path = next(source.path for source in sources if source.source_id == row["source_id"])
                measured, stated_too = (format_rate(row["kind"], row[name]) for name in ("value_per_s", "stated_per_s"))
                raise InputError(
                    f"{path}: measured ceiling {describe_ceiling(row)} = {measured} ({row['what']}): the datasheet"
                    f" of {row['hardware_id']} states {stated_too}; expected at most 5 % more"
                    " (sparse, cached, another dtype or device?)"
                )


def describe_ceiling(row: dict[str, str]) -> str:
    """Return dtype, pipe and accumulator of a compute ceiling, or the level of a bandwidth."""
    parts = [row["name"], row["pipe"], row["accumulator"] and f"accumulating in {row['accumulator']}"]
    return " ".join(part for part in parts if part)


def format_rate(kind: str, value_per_s: float) -> str:
    """Return the value of a ceiling with its unit."""
    return f"{value_per_s / 1e12:.5g} TFLOP/s" if kind == "compute" else f"{value_per_s / 1e9:.5g} GB/s"
