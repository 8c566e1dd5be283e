"""What all rooflines share: logarithmic axes, colours, and the frame's rows as chart data."""

import math
from collections.abc import Iterable
from typing import Any, Self

import altair as alt
import polars as pl

INTENSITY = "intensity_flops_per_byte"
PERFORMANCE = "performance_flops_per_s"
Domain = tuple[float, float]

# Okabe and Ito's palette, which holds apart for every kind of colour vision, and two inks.
BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
SKY, PURPLE, INK, GREY, PALE = "#56b4e9", "#cc79a7", "#222222", "#6b6b6b", "#e4e7ea"
_LOOK = alt.Config(
    font="Liberation Sans, Arial, Helvetica, sans-serif",
    background="white",
    padding=12,
    view=alt.ViewConfig(stroke=None),
    title=alt.TitleConfig(anchor="start", fontSize=17, subtitleFontSize=12, subtitleColor=GREY, subtitlePadding=4),
    axis=alt.AxisConfig(gridColor=PALE, labelFontSize=12, titleFontSize=12, titleFontWeight="normal", titlePadding=8),
    legend=alt.LegendConfig(labelFontSize=12, titleFontSize=12, titleFontWeight="normal"),
)
# Typed channels throughout: Altair takes 10 ms to find out what a plain text or a condition stands for.
LABEL = alt.Text("label:N")
# drawn below a text, it keeps lines from running through it
HALO: dict[str, Any] = {"stroke": "white", "strokeWidth": 3, "strokeOpacity": 0.85}
CROSS = "M-0.7,-0.7L0.7,0.7M-0.7,0.7L0.7,-0.7"

TOOLTIP = [
    alt.Tooltip("label:N", title="series"),
    alt.Tooltip("ops:N", title="ops"),
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
MEASURED_TOOLTIP = [
    *TOOLTIP,
    alt.Tooltip("latency_s:Q", title="time, s", format=".3~s"),
    alt.Tooltip("roof_fraction:Q", title="share of the roof", format=".1%"),
]


class Layer(alt.Chart):
    """A layer in the making.

    Where layers are put together, Altair copies all that is in them, four times: most of what a chart takes.
    """

    def copy(self, deep: bool | Iterable[Any] = True, ignore: list[str] | None = None) -> Self:
        """Return a copy that has marks and channels in common, which nobody changes in place."""
        return super().copy(deep=False if deep is True else deep, ignore=ignore)


def rows(layer: str) -> alt.Chart:
    """Return the rows of one layer of the data."""
    return Layer().transform_filter(f"datum.layer == '{layer}'")


def x_axis(domain: Domain, title: str, **axis: Any) -> alt.X:
    """Return operational intensity on a logarithmic axis with a tick a decade."""
    return alt.X(f"{INTENSITY}:Q", **log_axis(domain, title, **axis))


def y_axis(domain: Domain, title: str, **axis: Any) -> alt.Y:
    """Return performance on a logarithmic axis with a tick a decade."""
    return alt.Y(f"{PERFORMANCE}:Q", **log_axis(domain, title, **axis))


def cut(frame: pl.DataFrame, domain: Domain) -> pl.DataFrame:
    """Return the rows with the far ends of roofs moved along them to the edges of the chart.

    Left of a ridge a roof has slope one on logarithmic axes, right of it none.
    """
    left, right = domain
    is_left = pl.col("layer").is_in(["bandwidth", "roof"]) & (pl.col(INTENSITY) < left)
    is_right = pl.col("layer").is_in(["peak", "roof"]) & (pl.col(INTENSITY) > right)
    moved = pl.col(PERFORMANCE) * left / pl.col(INTENSITY)
    return frame.with_columns(
        pl.when(is_left).then(moved).otherwise(PERFORMANCE).alias(PERFORMANCE),
        pl.when(is_left).then(left).when(is_right).then(right).otherwise(INTENSITY).alias(INTENSITY),
    )


def styled(chart: alt.LayerChart, frame: pl.DataFrame, **properties: Any) -> alt.LayerChart:
    """Give the chart the look that all of them share, these properties, and the frame's rows as its data.

    They are set in place: each of Altair's own methods copies the whole chart.
    """
    values = [{key: value for key, value in row.items() if value is not None} for row in frame.iter_rows(named=True)]
    for name, value in {**properties, "config": _LOOK, "data": alt.InlineData(values=values, name="marks")}.items():
        setattr(chart, name, value)
    return chart


def log_axis(domain: Domain, title: str, mantissas: tuple[int, ...] = (1,), **axis: Any) -> dict[str, Any]:
    """Return scale and axis of a logarithmic channel, with ticks at these multiples of the powers of ten."""
    scale = alt.Scale(type="log", domain=list(domain), nice=False)
    return {
        "scale": scale,
        "axis": alt.Axis(**{"title": title, "values": _ticks(domain, mantissas), "format": "~s", **axis}),
    }


def _ticks(domain: Domain, mantissas: tuple[int, ...]) -> list[float]:
    low, high = (end * (1 + nudge) for end, nudge in zip(domain, (-1e-9, 1e-9), strict=True))
    first, last = (math.floor(math.log10(end)) for end in (low, high))
    ticks = [mantissa * 10.0**exponent for exponent in range(first, last + 1) for mantissa in mantissas]
    return [tick for tick in ticks if low <= tick <= high]
