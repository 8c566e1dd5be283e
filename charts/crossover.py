"""Intensity of ops over batch, and where it crosses the ridge of a device."""

import math
from typing import Any

import altair as alt
import polars as pl

from charts.axes import INTENSITY, log_axis, select_layer
from charts.decode_steps import (
    NUMBER,
    Finding,
    assemble_step_chart,
    describe_roof,
    describe_setting,
    list_looks,
    name_model,
    select_context,
)
from charts.findings import join_names, shorten_names
from charts.label_layout import spread
from charts.style import GREY, HALO, HEIGHT, INK, ORANGE, WIDTH

_LINE_HEIGHT = 15  # pixels from one label at the right edge to the next
_MOST_NAMES = 2
_ANSWER = alt.Text("answer:N")
_OF_A_CROSSING = ("op", "op_group", "batch_size", INTENSITY, "answer")
_TOOLTIP = [
    alt.Tooltip("op:N"),
    alt.Tooltip("op_group:N", title="op group"),
    alt.Tooltip("batch_size:Q", title="batch", format=","),
    alt.Tooltip("sequence_length:Q", title="context", format=","),
    alt.Tooltip("flops:Q", title="FLOP", format=".4~s"),
    alt.Tooltip("bytes:Q", title="bytes", format=".4~s"),
    alt.Tooltip(f"{INTENSITY}:Q", title="FLOP/byte", format=".5~g"),
    alt.Tooltip("bound:N"),
    alt.Tooltip("answer:N", title="compute-bound"),
]
# it is at no context, and at a batch that nothing was computed at
_CROSSING_TOOLTIP = [each for each in _TOOLTIP if each.shorthand.split(":")[0] in _OF_A_CROSSING]


def draw_crossover(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/crossover.sql."""
    frame = shorten_names(shorten_names(frame, "hardware"), "model")
    points = frame.filter(layer="computed")
    batches = points["batch_size"].unique().sort().to_list()
    groups = points["op_group"].unique().sort().to_list()
    colours, shapes = list_looks(groups)
    x_domain = (batches[0] / 1.15, batches[-1] * 1.15)
    y_domain = (0.6 * min(frame[INTENSITY].to_list()), 2.2 * max(frame[INTENSITY].to_list()))
    ticks: dict[str, Any] = {"values": batches, "format": ",", "labelOverlap": "greedy", "labelSeparation": 4}
    x = alt.X("batch_size:Q", **log_axis(x_domain, "Batch (sequences decoded at once)", **ticks))
    y = alt.Y(f"{INTENSITY}:Q", **log_axis(y_domain, "Operational intensity (FLOP per byte)", format=NUMBER))
    chosen = alt.selection_point(fields=["op_group"], bind="legend", name="group")
    faded = alt.condition(chosen, alt.value(1), alt.value(0.12))
    scale = alt.Scale(domain=groups, range=colours)
    colour = alt.Color("op_group:N", scale=scale, legend=alt.Legend(title="op group", orient="bottom", columns=6))
    shape = alt.Shape("op_group:N", scale=alt.Scale(domain=groups, range=shapes))
    ridge, crossing = select_layer("ridge"), select_layer("crossing")
    layers = [
        ridge.mark_rect(color=ORANGE, fillOpacity=0.06).encode(y, y2=alt.Y2Value(0)),
        ridge.mark_rule(color=INK, strokeWidth=1.5, strokeDash=[6, 3]).encode(y),
        ridge.mark_text(
            text="compute-bound", align="left", dx=6, dy=12, fontStyle="italic", color=GREY, fontSize=12
        ).encode(x=alt.XValue(0), y=alt.YValue(0)),
        select_context("datum.layer == 'computed'")
        .mark_line(strokeWidth=1.5)
        .encode(x, y, detail=alt.Detail("op:N"), color=colour, strokeOpacity=faded)
        .add_params(chosen),
        select_context("datum.layer == 'computed'")
        .mark_point(fill="white", strokeWidth=1.5, size=40, opacity=1)
        .encode(x, y, color=colour, shape=shape, strokeOpacity=faded, fillOpacity=faded, tooltip=_TOOLTIP),
        crossing.mark_point(filled=True, size=75, stroke="white", strokeWidth=0.75, opacity=1).encode(
            x, y, color=colour, shape=shape, fillOpacity=faded, tooltip=_CROSSING_TOOLTIP
        ),
        # from the end of a line to its label
        select_context("datum.layer == 'label'")
        .mark_rule(aria=False, strokeWidth=0.75)
        .encode(x, x2=alt.X2Value(WIDTH + 6), y=alt.Y("end:Q"), y2=alt.Y2(INTENSITY), color=colour, opacity=faded),
        select_context("datum.layer == 'label'")
        .mark_text(align="left", dx=8, fontSize=11, color=INK)
        .encode(y, x=alt.XValue(WIDTH), text=_ANSWER, fillOpacity=faded),
        *(
            ridge.mark_text(align="left", dx=6, dy=-9, fontSize=12, **look).encode(y, x=alt.XValue(0), text=_ANSWER)
            for look in (HALO, {"color": INK})
        ),
    ]
    decade_height = HEIGHT / math.log10(y_domain[1] / y_domain[0])
    labels = _place_labels(points, _LINE_HEIGHT / decade_height, math.log10(y_domain[1]))
    setting = f"{describe_setting(frame)}; filled: the smallest compute-bound batch"
    return assemble_step_chart(
        layers,
        pl.concat([frame, labels], how="diagonal"),
        "Intensity of ops over batch",
        [setting, *describe_roof(frame, "Ridge")],
        _find,
    )


def _place_labels(points: pl.DataFrame, gap: float, top: float) -> pl.DataFrame:
    """Return one row per line: its label at the right end, `gap` decades from the next and below `top`."""
    ends = points.filter(pl.col("batch_size") == pl.col("batch_size").max()).sort("sequence_length", INTENSITY, "op")
    placed = []
    for labels in ends.partition_by("sequence_length", maintain_order=True):
        places = pl.Series(spread(labels[INTENSITY].log10().to_list(), gap))
        highest = top - gap * (len(labels) - 0.5 - pl.int_range(len(labels), eager=True))
        placed.append(labels.with_columns(end=INTENSITY, place=10 ** pl.min_horizontal(places, highest)))
    return pl.concat(placed).select(
        "sequence_length",
        "batch_size",
        "op_group",
        "end",
        pl.col("place").alias(INTENSITY),
        layer=pl.lit("label"),
        answer=pl.format("{} {}", "op", "answer"),
    )


def _find(rows: pl.DataFrame) -> Finding:
    """Say at which batches GEMMs become compute-bound, and what never does, or attention at every batch."""
    points = rows.filter(layer="computed")
    hardware, context = points.select("hardware", "sequence_length").row(0)
    ops = points.unique("op").sort("op")
    since = ops.drop_nulls("critical_tokens")["critical_tokens"].sort()
    never, always = (ops.filter(answer=answer)["op"].to_list() for answer in ("never", "at every batch"))
    parts = []
    if not since.is_empty():
        at_last = f" to {since[-1]:,}" if since[-1] > since[0] else ""
        parts.append(f"GEMMs become compute-bound at batch {since[0]:,}{at_last}")
    if always:
        parts.append(f"{join_names(always)} {'at' if parts else 'is compute-bound at'} every batch")
    if never and parts:
        parts.append(f"{join_names(never) if len(never) <= _MOST_NAMES else f'{len(never)} of {len(ops)} ops'} never")
    subject = f"{name_model(points)} on {hardware}, context {context:,}"
    return Finding(f"{subject}: {', '.join(parts) or 'decode is never compute-bound'}")
