"""Relative errors of predicted times over the work of a kernel, with a band of ten percent on either side."""

from typing import Any

import altair as alt
import polars as pl

from charts.accuracy import BAND, KIND_TOOLTIP, describe_sample, kind_colour, name_kinds
from charts.axes import Layer
from charts.style import GREY, INK, assemble_chart

_WIDEST = 1.0  # larger errors are drawn at the edge


def draw_residuals(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/residuals.sql."""
    frame = name_kinds(frame)
    least, most = frame.select(low=pl.col("flops").min(), high=pl.col("flops").max()).row(0)
    x = alt.X(
        "flops:Q",
        scale=alt.Scale(type="log", domain=[0.7 * least, 1.4 * most], nice=False),
        axis=alt.Axis(title="Work of one kernel (FLOP)", format="~s", tickCount=8),
    )
    y = alt.Y(
        "relative_error:Q",
        scale=alt.Scale(domain=[-_WIDEST, _WIDEST], clamp=True),
        axis=alt.Axis(title="Predicted / measured time - 1", format="+.0%"),
    )
    zero = Layer().transform_filter("datum.layer == 'zero'")
    layers: list[Any] = [
        zero.mark_rect(color=GREY, opacity=0.18).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        zero.mark_rule(color=INK, strokeWidth=1).encode(y=y),
        Layer()
        .transform_filter("datum.layer == 'measured'")
        .mark_point(size=14, strokeWidth=1, opacity=0.7)
        .encode(x, y, color=kind_colour(frame), tooltip=KIND_TOOLTIP),
    ]
    totals = frame.row(0, named=True)
    low, high = totals["p10_error"], totals["p90_error"]
    title = f"{totals['hardware']}: eight in ten predictions are off by {low:+.0%} to {high:+.0%}"
    subtitle = [f"Calibrated roofs: median {totals['median_error']:+.1%}; the band is ±10%{describe_sample(frame)}"]
    ends = pl.DataFrame({"layer": "zero", "relative_error": [0.0], "low": -BAND, "high": BAND})
    kind = "Errors of predicted times over the work of a kernel"
    return assemble_chart(layers, pl.concat([ends, frame], how="diagonal"), kind, title, subtitle)
