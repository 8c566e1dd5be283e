"""What all rooflines share: logarithmic axes, colours, and the frame's rows as chart data."""

import math
from typing import Any

import altair as alt
import polars as pl

INTENSITY = "intensity_flops_per_byte"
PERFORMANCE = "performance_flops_per_s"

# Okabe and Ito's palette, which holds apart for every kind of colour vision; the last one is text.
BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, YELLOW, INK = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#f0e442", "#222222",
)  # fmt: skip
GREY, PALE = "#6b6b6b", "#e4e7ea"
CROSS = "M-0.7,-0.7L0.7,0.7M-0.7,0.7L0.7,-0.7"

TOOLTIP = [
    alt.Tooltip("label:N", title="series"),
    alt.Tooltip("op:N", title="op"),
    alt.Tooltip("phase:N", title="phase"),
    alt.Tooltip("batch_size:Q", title="batch"),
    alt.Tooltip("sequence_length:Q", title="sequence"),
    alt.Tooltip("query_length:Q", title="query tokens"),
    alt.Tooltip("flops:Q", title="FLOP", format=".4~s"),
    alt.Tooltip("bytes:Q", title="bytes", format=".4~s"),
    alt.Tooltip(f"{INTENSITY}:Q", title="FLOP/byte", format=".5~g"),
    alt.Tooltip(f"{PERFORMANCE}:Q", title="FLOP/s", format=".4~s"),
    alt.Tooltip("lower_bound_s:Q", title="time at the roof, s", format=".3~s"),
    alt.Tooltip("bound:N", title="bound"),
]


def chart_data(frame: pl.DataFrame) -> alt.InlineData:
    """Return the rows as chart data, without fields that are null."""
    rows = [{k: v for k, v in row.items() if v is not None} for row in frame.iter_rows(named=True)]
    return alt.InlineData(values=rows, name="marks")


def layer_is(*names: str) -> str:
    """Return the Vega expression that keeps the rows of some layers."""
    return " || ".join(f"datum.layer == '{name}'" for name in names)


def decades(low: float, high: float) -> list[float]:
    """Return the powers of ten from `low` to `high`."""
    exponents = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    return [10.0**exponent for exponent in exponents]


def x_axis(domain: tuple[float, float], title: str, **axis: Any) -> alt.X:
    """Return operational intensity on a logarithmic axis with a tick a decade."""
    return alt.X(
        f"{INTENSITY}:Q",
        scale=alt.Scale(type="log", domain=list(domain), nice=False),
        axis=alt.Axis(**{"title": title, "values": decades(*domain), "format": "~s", **axis}),
    )


def y_axis(domain: tuple[float, float], title: str, **axis: Any) -> alt.Y:
    """Return performance on a logarithmic axis with a tick a decade."""
    return alt.Y(
        f"{PERFORMANCE}:Q",
        scale=alt.Scale(type="log", domain=list(domain), nice=False),
        axis=alt.Axis(**{"title": title, "values": decades(*domain), "format": "~s", **axis}),
    )


def cut(frame: pl.DataFrame, domain: tuple[float, float]) -> pl.DataFrame:
    """Return the rows with the far ends of roofs moved along them to the edges of the chart.

    Left of a ridge a roof has slope one on logarithmic axes, right of it none.
    """
    left, right = domain
    is_left = pl.col("layer").is_in(["bandwidth", "roof"]) & (pl.col(INTENSITY) < left)
    is_right = pl.col("layer").is_in(["peak", "roof"]) & (pl.col(INTENSITY) > right)
    return frame.with_columns(
        pl.when(is_left).then(pl.col(PERFORMANCE) * left / pl.col(INTENSITY)).otherwise(PERFORMANCE).alias(PERFORMANCE),
        pl.when(is_left).then(left).when(is_right).then(right).otherwise(INTENSITY).alias(INTENSITY),
    )


def spread(positions: list[float], gap: float) -> list[float]:
    """Move sorted positions apart, as little as may be, until each is `gap` from the next."""
    clusters: list[tuple[float, int]] = []  # centre and size, each laid out evenly about its centre
    for position in positions:
        centre, size = position, 1
        while clusters and centre - gap * (size - 1) / 2 < _top(clusters[-1], gap) + gap:
            other, count = clusters.pop()
            centre, size = (centre * size + other * count) / (size + count), size + count
        clusters.append((centre, size))
    return [centre + gap * (i - (size - 1) / 2) for centre, size in clusters for i in range(size)]


def styled(chart: alt.LayerChart, frame: pl.DataFrame) -> alt.LayerChart:
    """Return the chart in the look that all of them share, with the frame's rows as its data."""
    dressed = (
        chart.configure(font="Helvetica Neue, Arial, Liberation Sans, sans-serif", background="white", padding=12)
        .configure_view(stroke=None)
        .configure_title(anchor="start", fontSize=17, subtitleFontSize=12, subtitleColor=GREY, subtitlePadding=4)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", titlePadding=8)
        .configure_legend(labelFontSize=12, titleFontSize=12, titleFontWeight="normal")
    )
    dressed.data = chart_data(frame)  # last: each step before copies the whole chart
    return dressed


def _top(cluster: tuple[float, int], gap: float) -> float:
    return cluster[0] + gap * (cluster[1] - 1) / 2
