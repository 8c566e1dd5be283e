"""The roofs of several devices on one chart."""

import altair as alt
import polars as pl

from charts.axes import INTENSITY, clip_roofs, select_layer
from charts.findings import describe_left_out, shorten_names
from charts.roofline import RoofLabels, RooflineAxes, draw_end_labels
from charts.style import COLOURS, INK, assemble_chart

_DASHES = [[1, 0], [8, 3], [3, 2], [8, 3, 2, 3]]
_TOOLTIP = [
    alt.Tooltip("hardware:N", title="device"),
    alt.Tooltip("basis:N"),
    alt.Tooltip("peak_flops_per_s:Q", title="peak, FLOP/s", format=".4~s"),
    alt.Tooltip("bandwidth_bytes_per_s:Q", title="bandwidth, B/s", format=".4~s"),
    alt.Tooltip("ridge_flops_per_byte:Q", title="ridge, FLOP/byte", format=".4~g"),
    alt.Tooltip("origin:N"),
]


def draw_comparison(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/comparison.sql."""
    left_out, frame = describe_left_out(frame), frame.filter(layer="roof")
    axes = RooflineAxes(frame)
    lines = clip_roofs(frame, axes.x_domain, axes.y_domain[0])
    devices = frame["hardware"].unique(maintain_order=True).to_list()
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(devices))]
    dashes = [_DASHES[(i + i // len(COLOURS)) % len(_DASHES)] for i in range(len(devices))]
    chosen = alt.selection_point(fields=["hardware"], bind="legend", name="device")
    faded = alt.condition(chosen, alt.value(1), alt.value(0.12))
    legend = alt.Legend(
        title=None, orient="bottom", columns=5, symbolType="stroke", symbolStrokeWidth=3, symbolSize=400
    )
    colour = alt.Color(
        "hardware:N",
        scale=alt.Scale(domain=devices, range=colours),
        legend=legend,
    )
    dash = alt.StrokeDash("hardware:N", scale=alt.Scale(domain=devices, range=dashes), legend=legend)
    layers = [
        select_layer("roof")
        .mark_line(strokeWidth=2)
        .encode(axes.x, axes.y, color=colour, strokeDash=dash, strokeOpacity=faded)
        .add_params(chosen),
        select_layer("roof")
        .transform_filter("datum.vertex == 2")
        .mark_point(shape="diamond", filled=True, size=70, opacity=1)
        .encode(axes.x, axes.y, color=colour, fillOpacity=faded, tooltip=_TOOLTIP),
        *draw_end_labels(axes, INK, faded),
    ]
    labels = RoofLabels(axes)
    labels.place_ends(frame.filter(vertex=3).with_columns(is_main=pl.lit(value=True)))
    dtype, bases = frame["dtype"][0], ", ".join(frame["basis"].unique().sort())
    unnamed = f"; {len(labels.unplaced)} more without a label" if labels.unplaced else ""
    return assemble_chart(
        layers,
        pl.concat([lines, labels.rows], how="diagonal"),
        "Roofline",
        f"{dtype} {_compose_title(shorten_names(frame.filter(vertex=2), 'hardware').sort(INTENSITY))}",
        [f"Default {dtype} roofs: dense peak and DRAM bandwidth, basis {bases}{unnamed}", *left_out],
    )


def _compose_title(ridges: pl.DataFrame) -> str:
    """Name the lowest and the highest ridge."""
    low, high = ridges.row(0, named=True), ridges.row(-1, named=True)
    least = f"{low[INTENSITY]:.0f} FLOP/byte ({low['hardware']})"
    return (
        f"ridge at {least}" if low == high else f"ridges run from {least} to {high[INTENSITY]:.0f} ({high['hardware']})"
    )
