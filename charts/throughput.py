"""Tokens per second over the time of a token, for growing batches up to what fits in a device's memory."""

import altair as alt
import polars as pl

from charts.axes import log_axis
from charts.decode_steps import (
    describe_roof,
    describe_setting,
    describe_sharing,
    draw_context_label,
    make_context_choice,
    select_context,
    select_shortest_context,
)
from charts.style import COLOURS, GREY, INK, LABEL, add_parameter, assemble_chart

_SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"]
_TICKS = (1, 2, 5)
_TOOLTIP = [
    alt.Tooltip("hardware:N", title="device"),
    alt.Tooltip("batch_size:Q", title="batch", format=","),
    alt.Tooltip("sequence_length:Q", title="context", format=","),
    alt.Tooltip("token_ms:Q", title="least time of a step, ms", format=".4~g"),
    alt.Tooltip("tokens_per_s:Q", title="tokens/s at most", format=",.4~r"),
    alt.Tooltip("memory_bytes:Q", title="memory, bytes", format=".4~s"),
    alt.Tooltip("device_memory_bytes:Q", title="device memory, bytes", format=".4~s"),
    alt.Tooltip("fits_in_memory:N", title="fits in memory"),
    alt.Tooltip("bound:N"),
    alt.Tooltip("dominant_op_group:N", title="dominant op group"),
]


def draw_throughput(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/throughput.sql."""
    order = frame.group_by("hardware").agg(pl.col("token_ms").min()).sort("token_ms", "hardware")
    devices = order["hardware"].to_list()
    looks = [(COLOURS[i % len(COLOURS)], _SHAPES[(i + i // len(COLOURS)) % len(_SHAPES)]) for i in range(len(devices))]
    colours, shapes = (list(each) for each in zip(*looks, strict=True))
    times, rates = frame["token_ms"].to_list(), frame["tokens_per_s"].to_list()
    x_domain, y_domain = (min(times) / 1.5, max(times) * 1.15), (min(rates) / 1.3, max(rates) * 1.5)
    x = alt.X("token_ms:Q", **log_axis(x_domain, "Least time per token of a sequence (ms)", _TICKS))
    y = alt.Y("tokens_per_s:Q", **log_axis(y_domain, "Tokens/s of all sequences, at most", _TICKS))
    chosen = alt.selection_point(fields=["hardware"], bind="legend", name="device")
    faded = alt.condition(chosen, alt.value(1), alt.value(0.12))
    colour = alt.Color(
        "hardware:N",
        scale=alt.Scale(domain=devices, range=colours),
        legend=alt.Legend(title="device", orient="bottom", columns=4),
    )
    shape = alt.Shape("hardware:N", scale=alt.Scale(domain=devices, range=shapes))
    points = select_context()
    layers = [
        points.mark_line(color=GREY, strokeWidth=0.75, strokeDash=[2, 2]).encode(
            x, y, detail=alt.Detail("batch_size:N")
        ),
        points.mark_line(strokeWidth=1.75)
        .encode(x, y, color=colour, order=alt.Order("batch_size:Q"), strokeOpacity=faded)
        .add_params(chosen),
        select_context("datum.fits_in_memory")
        .mark_point(filled=True, size=60, stroke="white", strokeWidth=0.5, opacity=1)
        .encode(x, y, color=colour, shape=shape, fillOpacity=faded, tooltip=_TOOLTIP),
        select_context("!datum.fits_in_memory")
        .mark_point(fill="white", size=70, strokeWidth=1.75, opacity=1)
        .encode(x, y, color=colour, shape=shape, strokeOpacity=faded, fillOpacity=faded, tooltip=_TOOLTIP),
        select_context("datum.is_fastest")
        .mark_text(align="right", baseline="bottom", dx=-5, dy=-3, fontSize=11, color=INK)
        .encode(x, y, text=LABEL),
        draw_context_label(
            select_context("datum.is_fastest", f"datum.batch_size == {min(frame['batch_size'].to_list())}"), 8
        ),
    ]
    shown = select_shortest_context(frame)
    title, subtitle = _compose_title(shown), _compose_subtitle(shown)
    chart = assemble_chart(layers, frame, "Tokens per second over time per token", title, subtitle)
    return add_parameter(chart, make_context_choice(frame))


def _compose_title(shown: pl.DataFrame) -> str:
    """Name the device with the most tokens per second, and its batch."""
    model = "{}, context {:,}".format(*shown.select("model", "sequence_length").row(0))
    held = shown.filter("fits_in_memory").sort("tokens_per_s", "hardware", descending=[True, False])
    if held.is_empty():
        return f"{model}: fits in the memory of none of these devices"
    best = held.row(0, named=True)
    rate = f"{best['tokens_per_s']:,.0f} tokens/s"
    at = f"{best['batch_size']:,} sequences at {best['token_ms']:.3g} ms per token"
    return f"{model}: {best['hardware']} leads with {rate}, {at}"


def _compose_subtitle(shown: pl.DataFrame) -> list[str]:
    setting = f"{describe_setting(shown)}; {describe_sharing(shown)}"
    return [f"{setting}; numbers: batch; hollow: the first batch that does not fit", *describe_roof(shown)]
