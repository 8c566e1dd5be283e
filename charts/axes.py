"""Logarithmic axes, and layers that draw part of a chart's rows."""

import math
from collections.abc import Iterable
from typing import Any, Self

import altair as alt
import polars as pl

from charts.channels import write_once

INTENSITY = "intensity_flops_per_byte"
PERFORMANCE = "performance_flops_per_s"
Domain = tuple[float, float]
# intensities of the two ends of a roof in the views: further out than most charts reach
ROOF_START, ROOF_STOP = 1e-3, 1e6
# SI prefixes only above 1: "0.1" is easier to read than "100m"
_TICK_LABEL = "format(datum.value, datum.value < 1 ? '~g' : '~s')"


class Layer(alt.Chart):
    """A layer that is cheap to combine.

    Altair deep-copies a layer four times when it combines layers, which would take most of the time of a chart.
    """

    def copy(self, deep: bool | Iterable[Any] = True, ignore: list[str] | None = None) -> Self:
        """Return a shallow copy: marks and channels are shared, and never changed in place."""
        return super().copy(deep=False if deep is True else deep, ignore=ignore)


def select_layer(layer: str) -> alt.Chart:
    """Return a chart of the rows that belong to one layer."""
    return Layer().transform_filter(f"datum.layer == '{layer}'")


def x_axis(domain: Domain, title: str, **axis: Any) -> alt.X:
    """Return operational intensity on a logarithmic axis with one tick per decade."""
    return write_once(alt.X(f"{INTENSITY}:Q", **log_axis(domain, title, **axis)))


def y_axis(domain: Domain, title: str, **axis: Any) -> alt.Y:
    """Return performance on a logarithmic axis with one tick per decade."""
    return write_once(alt.Y(f"{PERFORMANCE}:Q", **log_axis(domain, title, **axis)))


def clip_roofs(frame: pl.DataFrame, domain: Domain, least: float = 0) -> pl.DataFrame:
    """Return the rows with the ends of roofs and ceilings moved along them to the edges of the chart.

    On logarithmic axes a roof has slope 1 left of its ridge, and is flat right of it.

    Parameters
    ----------
    frame
        Rows of the layers `bandwidth` (a slope), `peak` (flat) and `roof` (both, with its ridge inside of the chart),
        whose ends lie inside or outside of it; and other rows, which stay as they are.
    domain
        Intensities at the left and the right edge.
    least
        Performance at the lower edge; no slope goes below it.
    """
    left, right = domain
    layer, intensity, performance = pl.col("layer"), pl.col(INTENSITY), pl.col(PERFORMANCE)
    slopes = (layer == "bandwidth") | ((layer == "roof") & (intensity <= ROOF_START))
    flats = (layer == "peak") | ((layer == "roof") & (intensity >= ROOF_STOP))
    bandwidth = performance / intensity
    start = pl.when(intensity <= ROOF_START).then(left).otherwise(intensity)
    stop = pl.when(intensity >= ROOF_STOP).then(right).otherwise(intensity)
    along = pl.min_horizontal(pl.max_horizontal(start, pl.lit(left), least / bandwidth), pl.lit(right))
    return frame.with_columns(
        pl.when(slopes).then(bandwidth * along).otherwise(performance).alias(PERFORMANCE),
        pl.when(slopes).then(along).when(flats).then(stop.clip(left, right)).otherwise(intensity).alias(INTENSITY),
    )


def log_axis(domain: Domain, title: str, mantissas: Iterable[int] = (1,), **axis: Any) -> dict[str, Any]:
    """Return scale and axis of a logarithmic channel, with ticks at `mantissas` times the powers of ten."""
    label = {} if "format" in axis else {"labelExpr": _TICK_LABEL}
    return {
        "scale": alt.Scale(type="log", domain=list(domain), nice=False),
        "axis": alt.Axis(**{"title": title, "values": _list_ticks(domain, mantissas), **label, **axis}),
    }


def _list_ticks(domain: Domain, mantissas: Iterable[int]) -> list[float]:
    low, high = domain[0] * (1 - 1e-9), domain[1] * (1 + 1e-9)
    first, last = math.floor(math.log10(low)), math.floor(math.log10(high))
    ticks = [mantissa * 10.0**exponent for exponent in range(first, last + 1) for mantissa in mantissas]
    return [tick for tick in ticks if low <= tick <= high]
