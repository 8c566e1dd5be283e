"""The look that all charts share: size, palette, fonts, tooltips."""

from typing import Any

import altair as alt
import polars as pl

from charts.axes import INTENSITY, PERFORMANCE

WIDTH, HEIGHT = 620, 400  # pixels of the plot

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


def style_chart(chart: alt.LayerChart, frame: pl.DataFrame, **properties: Any) -> alt.LayerChart:
    """Give the chart the look that all of them share, these properties, and the frame's rows as its data.

    They are set in place: each of Altair's own methods copies the whole chart.
    """
    values = [{key: value for key, value in row.items() if value is not None} for row in frame.iter_rows(named=True)]
    for name, value in {**properties, "config": _LOOK, "data": alt.InlineData(values=values, name="marks")}.items():
        setattr(chart, name, value)
    return chart
