"""The table of the kernels of a profile, below its chart."""

from typing import Any

import polars as pl

from charts.levels import name_level

# column of the table -> column of the rows that the chart is drawn from
_COLUMNS = {
    "kernel": "label",
    "time_s": "total_s",
    "time_share": "time_share",
    "launches": "launches",
    "flops_per_s": "performance_flops_per_s",
    "roof_share": "share_of_roof",
    "bound": "bound",
    "headroom_s": "headroom_s",
    "dtype": "dtype",
    "bytes_of": "level",
    "above_its_roof": "likely_cause",
}
_LEVELS = {"bytes_of"}
_MOST_ROWS = 500
TITLES = {
    "time_s": "time",
    "time_share": "share of the time",
    "flops_per_s": "FLOP/s",
    "roof_share": "share of its roof",
    "bound": "bound by",
    "headroom_s": "headroom",
    "bytes_of": "bytes of",
    "above_its_roof": "why above its roof",
}


def list_kernels(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the kernels of a chart of a profile, those with the most headroom first; none of another chart.

    A column in which nothing is known is left out.
    """
    if "time_share" not in frame.columns:
        return []
    kernels = (
        frame.filter(pl.col("time_share").is_not_null())
        .sort("headroom_s", "total_s", "label", descending=[True, True, False], nulls_last=True)
        .select(pl.col(column).alias(name) for name, column in _COLUMNS.items())
        .head(_MOST_ROWS)
    )
    rows = kernels.select(name for name in kernels.columns if kernels[name].count()).to_dicts()
    return [{name: name_level(value) if name in _LEVELS else value for name, value in row.items()} for row in rows]
