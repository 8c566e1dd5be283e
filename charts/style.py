"""The look that all charts share: size, palette, fonts, tooltips."""

import textwrap
from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from charts.axes import INTENSITY, PERFORMANCE
from charts.channels import tooltip, write_once

WIDTH, HEIGHT = 620, 400  # pixels of the plot

# Okabe and Ito's palette, which readers with any colour vision can tell apart, with the light colours darkened until
# their contrast to white is 3:1, and greys. charts/inks.py has the dark ink of each.
BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#c48600", "#009e73", "#d55e00"
SKY, PURPLE, INK, GREY, PALE = "#2f95d0", "#c76fa1", "#222222", "#6b6b6b", "#e4e7ea"
YELLOW = "#9f9200"
COLOURS = [BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK, GREY]  # the colours of series, in this order
GROUND = "white"  # the ground of a chart, also inside hollow marks and around labels
ON_DARK, ON_LIGHT = "#ffffff", "#111111"  # text on a coloured mark, which stays as it is in dark mode

_LOOK = alt.Config(
    font="Liberation Sans, Arial, Helvetica, sans-serif",
    background=GROUND,
    padding=12,
    view=alt.ViewConfig(stroke=None),
    title=alt.TitleConfig(anchor="start", fontSize=17, subtitleFontSize=12, subtitleColor=GREY, subtitlePadding=4),
    axis=alt.AxisConfig(gridColor=PALE, labelFontSize=12, titleFontSize=12, titleFontWeight="normal", titlePadding=8),
    legend=alt.LegendConfig(labelFontSize=12, titleFontSize=12, titleFontWeight="normal"),
)
# Channels are typed throughout: Altair takes 10 ms to work out what a plain string or a condition means.
LABEL = write_once(alt.Text("label:N"))
# drawn below a text, so that no line runs through it
HALO: dict[str, Any] = {"stroke": GROUND, "strokeWidth": 3, "strokeOpacity": 0.85}

TOOLTIP = [
    tooltip("label:N", title="series"),
    tooltip("ops:N", title="ops"),
    tooltip("phase:N", title="phase"),
    tooltip("batch_size:Q", title="batch"),
    tooltip("sequence_length:Q", title="sequence"),
    tooltip("query_length:Q", title="query tokens"),
    tooltip("flops:Q", title="FLOP", format=".4~s"),
    tooltip("bytes:Q", title="bytes", format=".4~s"),
    tooltip(f"{INTENSITY}:Q", title="FLOP/byte", format=".5~g"),
    tooltip(f"{PERFORMANCE}:Q", title="FLOP/s", format=".4~s"),
    tooltip("lower_bound_s:Q", title="time at the roof, s", format=".3~s"),
    tooltip("bound:N", title="bound"),
]
MEASURED_TOOLTIP = [
    *TOOLTIP,
    tooltip("latency_s:Q", title="time, s", format=".3~s"),
    tooltip("roof_fraction:Q", title="share of the roof", format=".1%"),
]


def assemble_chart(
    layers: Sequence[alt.Chart],
    frame: pl.DataFrame,
    kind: str,
    title: str,
    subtitle: list[str],
    *,
    height: float = HEIGHT,
    widest_line: int | None = None,
    **title_look: Any,
) -> alt.LayerChart:
    """Combine layers into a chart of common width, with title, and a description that begins with its `kind`.

    Lines of the subtitle with more letters than `widest_line` are broken.
    """
    chart: Any = alt.layer(*layers)
    broken = [part for line in subtitle for part in (textwrap.wrap(line, widest_line) if widest_line else [line])]
    return style_chart(
        chart,
        frame,
        title=alt.TitleParams(title, subtitle=broken, **title_look),
        width=WIDTH,
        height=height,
        description=compose_description(kind, title, subtitle),
    )


def compose_description(kind: str, title: str, subtitle: Sequence[str]) -> str:
    """Return what a chart is and says, for readers who do not see it."""
    return f"{kind}. {title}. {'. '.join(subtitle)}."


def style_chart(chart: alt.LayerChart, frame: pl.DataFrame, **properties: Any) -> alt.LayerChart:
    """Give a chart the common look, the frame's rows as its data, and these properties.

    This changes the chart in place: Altair's own methods copy the whole chart each time.
    """
    values = [{key: value for key, value in row.items() if value is not None} for row in frame.iter_rows(named=True)]
    for name, value in {**properties, "config": _LOOK, "data": alt.InlineData(values=values, name="marks")}.items():
        setattr(chart, name, value)
    return chart


def add_parameter(chart: alt.LayerChart, parameter: alt.Parameter) -> alt.LayerChart:
    """Add a parameter to a chart in place; Altair's own method copies the chart."""
    own = chart.params if isinstance(chart.params, list) else []
    added: Any = [*own, parameter.param]
    chart.params = added
    return chart
