"""Ceilings that the counters of a profiler state: never the default where anyone else states the ceiling."""

import re
from collections.abc import Iterator, Sequence

import polars as pl

from flows.ingest.measured_ceilings import describe_ceiling, format_rate
from flows.ingest.source_file import SourceFile

_CLOCK = re.compile(r" x (\d+ MHz) of \w+$")
_ROUNDED = 1.01  # times the datasheet's figure, which is rounded
NOTE = "at the highest clock of the profiled launches; ncu holds a device at its base clock unless told otherwise"
_KEY = ["hardware_id", "kind", "name", "pipe", "accumulator"]


def find_counter_ceilings(counters: pl.DataFrame, sources: Sequence[SourceFile]) -> pl.DataFrame:
    """Return the rows of core.ceiling that counters state: of each file the largest, the largest of all first.

    Parameters
    ----------
    counters
        The frame `counter_ceiling`: a row moves bytes, or does FLOP.
    sources
        The files that its rows come from.
    """
    moves = pl.col("flops") == 0
    amount = pl.when(moves).then("bytes").otherwise("flops")
    places = {source.source_id: source.display_path for source in sources}
    return (
        counters.select(
            "source_id",
            "hardware_id",
            kind=pl.when(moves).then(pl.lit("bandwidth")).otherwise(pl.lit("compute")),
            name=pl.when(moves).then("level").otherwise("dtype"),
            pipe=pl.when(moves).then(pl.lit("")).otherwise("pipe"),
            accumulator=pl.when(moves).then(pl.lit("")).otherwise("accumulator"),
            value_per_s=amount / pl.col("latency_s"),
            what="method",
        )
        .sort("value_per_s", descending=True, maintain_order=True)
        .unique(["source_id", *_KEY], keep="first", maintain_order=True)
        .sort(*_KEY[:3], "value_per_s", "source_id", descending=[False, False, False, True, False], maintain_order=True)
        .with_columns(
            basis=pl.lit("counter"),
            origin=pl.concat_str(pl.col("source_id").replace(places), pl.lit(": "), "what"),
            note=pl.lit(NOTE),
            is_default=pl.lit(value=False),
            preference=pl.lit(None, pl.Int64),
            ceiling_name=pl.lit(""),
            reduces_in_switch=pl.lit(None, pl.Boolean),
            switch_devices=pl.lit(None, pl.Int64),
        )
    )


def describe_counter_ceilings(found: pl.DataFrame, ceilings: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield of each ceiling its source, and in words value, clock, and whether it is above the datasheet's.

    Parameters
    ----------
    found
        As by `find_counter_ceilings`.
    ceilings
        Rows of core.ceiling of other bases.
    """
    stated = ceilings.filter(basis="datasheet").select("hardware_id", "kind", "name", "pipe", "value_per_s").rows()
    for row in found.iter_rows(named=True):
        what = (row["hardware_id"], row["kind"], row["name"])
        values = [
            value for *key, pipe, value in stated if tuple(key) == what and (row["pipe"] in ("", pipe) or not pipe)
        ]  # fmt: skip
        text = f"{row['hardware_id']} {describe_ceiling(row)}: {format_rate(row['kind'], row['value_per_s'])}"
        if clock := _CLOCK.search(row["what"]):
            text += f" at {clock[1]}"
        if values and row["value_per_s"] > _ROUNDED * max(values):
            text += f", above the datasheet's {format_rate(row['kind'], max(values))}"
        yield row["source_id"], text
