"""The share of the roof that measured kernels reach, by op group and size."""

from typing import Any

import altair as alt
import polars as pl

from charts.axes import Layer
from charts.style import ON_DARK, ON_LIGHT, assemble_chart

_ROW_HEIGHT = 20
_EDGE = "#888"  # of a cell: seen on a light and on a dark ground, whatever the cell is filled with
_DARKEST = 0.25  # where the scale begins: the first quarter of viridis is too dark for a dark ground
_LIGHT_FROM = 0.27  # share of the roof from which on cells are light
_TOOLTIP = [
    alt.Tooltip("label:N", title="op group"),
    alt.Tooltip("least_flops:Q", title="FLOP, from", format=".3~s"),
    alt.Tooltip("kernels:Q"),
    alt.Tooltip("roof_fraction:Q", title="median share of the roof", format=".1%"),
    alt.Tooltip("is_above_roof:N", title="any above its roof"),
]


def draw_heat(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/heat.sql."""
    labels = frame["label"].unique().sort().to_list()
    x = alt.X(
        "least_flops:O",
        axis=alt.Axis(title="Work of one kernel (FLOP, start of the bin)", format=".2~s", labelAngle=-90),
    )
    y = alt.Y("label:N", sort=labels, axis=alt.Axis(title=None))
    dark = alt.ColorValue(ON_LIGHT, condition={"test": f"datum.roof_fraction < {_LIGHT_FROM}", "value": ON_DARK})
    base = Layer()
    layers: list[Any] = [
        base.mark_rect(stroke=_EDGE, strokeWidth=1).encode(
            x,
            y,
            color=alt.Color(
                "roof_fraction:Q",
                scale=alt.Scale(scheme=alt.SchemeParams("viridis", extent=[_DARKEST, 1]), domain=[0, 1], clamp=True),
                legend=alt.Legend(title="share of the roof", format=".0%"),
            ),
            tooltip=_TOOLTIP,
        ),
        base.transform_calculate(percent="round(100 * datum.roof_fraction)")
        .mark_text(fontSize=9)
        .encode(x, y, text=alt.Text("percent:Q"), color=dark),
    ]
    best = frame.sort("roof_fraction", descending=True).row(0, named=True)
    title = f"{frame['hardware'][0]}: {best['label']} comes closest to the roof, {best['roof_fraction']:.0%}"
    subtitle = ["Median share of the roof in percent: measured kernels by op group, phase, dtype and work"]
    return assemble_chart(layers, frame, "Heat map", title, subtitle, height=_ROW_HEIGHT * len(labels))
