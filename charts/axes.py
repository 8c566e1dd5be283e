"""What all rooflines share: logarithmic axes, colours, and the frame's rows as chart data."""

import math
from collections.abc import Iterable
from typing import Any, Self

import altair as alt
import polars as pl

INTENSITY = "intensity_flops_per_byte"
PERFORMANCE = "performance_flops_per_s"
Domain = tuple[float, float]


class Layer(alt.Chart):
    """A layer in the making.

    Where layers are put together, Altair copies all that is in them, four times: most of what a chart takes.
    """

    def copy(self, deep: bool | Iterable[Any] = True, ignore: list[str] | None = None) -> Self:
        """Return a copy that has marks and channels in common, which nobody changes in place."""
        return super().copy(deep=False if deep is True else deep, ignore=ignore)


def select_layer(layer: str) -> alt.Chart:
    """Return the rows of one layer of the data."""
    return Layer().transform_filter(f"datum.layer == '{layer}'")


def x_axis(domain: Domain, title: str, **axis: Any) -> alt.X:
    """Return operational intensity on a logarithmic axis with a tick a decade."""
    return alt.X(f"{INTENSITY}:Q", **log_axis(domain, title, **axis))


def y_axis(domain: Domain, title: str, **axis: Any) -> alt.Y:
    """Return performance on a logarithmic axis with a tick a decade."""
    return alt.Y(f"{PERFORMANCE}:Q", **log_axis(domain, title, **axis))


def clip_roofs(frame: pl.DataFrame, domain: Domain) -> pl.DataFrame:
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


def log_axis(domain: Domain, title: str, mantissas: tuple[int, ...] = (1,), **axis: Any) -> dict[str, Any]:
    """Return scale and axis of a logarithmic channel, with ticks at these multiples of the powers of ten."""
    scale = alt.Scale(type="log", domain=list(domain), nice=False)
    return {
        "scale": scale,
        "axis": alt.Axis(**{"title": title, "values": _list_ticks(domain, mantissas), "format": "~s", **axis}),
    }


def _list_ticks(domain: Domain, mantissas: tuple[int, ...]) -> list[float]:
    low, high = (end * (1 + nudge) for end, nudge in zip(domain, (-1e-9, 1e-9), strict=True))
    first, last = (math.floor(math.log10(end)) for end in (low, high))
    ticks = [mantissa * 10.0**exponent for exponent in range(first, last + 1) for mantissa in mantissas]
    return [tick for tick in ticks if low <= tick <= high]
