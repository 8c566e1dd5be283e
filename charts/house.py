"""The roofline of one device in the house style: every ceiling, and the ops of a model at one setting."""

import math
from typing import Any

import altair as alt
import polars as pl

from charts.axes import INTENSITY, PERFORMANCE, clip_roofs, select_layer
from charts.roofline import RooflineAxes
from charts.style import (
    BLUE,
    GREEN,
    GREY,
    HALO,
    INK,
    LABEL,
    MEASURED_TOOLTIP,
    ORANGE,
    PURPLE,
    SKY,
    TOOLTIP,
    VERMILION,
    WIDTH,
    assemble_chart,
)
from charts.summaries import summarize_points

# Points of both phases can coincide, so decode is drawn smaller and on top.
_PHASES = {
    "prefill": (VERMILION, "circle", 150),
    "decode": (GREEN, "triangle-up", 40),
    "kernel": (PURPLE, "square", 60),  # points that belong to no model
}
_MOST_LABELS = 40


def draw_house(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/house.sql."""
    axes = RooflineAxes(frame)
    points = frame.filter(pl.col("layer").is_in(["computed", "measured"]))
    is_measured = "measured" in points["layer"]
    peaks = frame.filter(layer="peak").unique("label", maintain_order=True)
    shown = {phase: style for phase, style in _PHASES.items() if phase in points["phase"]} or _PHASES
    phases, styles = list(shown), list(zip(*shown.values(), strict=True))
    layers = [
        *_draw_regions(axes),
        *_draw_ceilings(axes),
        *axes.draw_ridge(),
        *_draw_points(axes, phases, styles, is_measured=is_measured),
        *_draw_point_labels(axes),
    ]
    labels = [_place_slope_labels(frame, axes), axes.place_end_labels(peaks)]
    if len(points) <= _MOST_LABELS:
        labels.append(axes.place_point_labels(points))
    finding = summarize_points(points) or (f"{len(points)} points" if len(points) else "roofs by dtype")
    marks = clip_roofs(frame.sort("phase", descending=True, nulls_last=True), axes.x_domain)
    return assemble_chart(
        layers,
        pl.concat([marks, *labels], how="diagonal"),
        "Roofline",
        f"{frame['hardware'][0]}: {finding}",
        _compose_subtitle(frame, points, peaks),
    )


def _draw_points(axes: RooflineAxes, phases: list[str], styles: list[Any], *, is_measured: bool) -> list[alt.Chart]:
    """Return computed points (hollow), or measured (filled) and predicted ones (dotted) with lines up to the roof."""
    legend = alt.Legend(title="phase", orient="bottom", direction="horizontal")
    colour = alt.Color(
        "phase:N",
        scale=alt.Scale(domain=phases, range=list(styles[0])),
        legend=legend,
    )
    shape = alt.Shape("phase:N", scale=alt.Scale(domain=phases, range=list(styles[1])))
    sizes = alt.Scale(type="ordinal", domain=phases, range=list(styles[2]))
    size = alt.Size("phase:N", scale=sizes, sort="ascending", legend=legend)
    if not is_measured:
        computed = select_layer("computed").mark_point(strokeWidth=2, fill="white", opacity=1)
        return [computed.encode(axes.x, axes.y, color=colour, shape=shape, size=size, tooltip=TOOLTIP)]
    measured, predicted = select_layer("measured"), select_layer("predicted")
    return [
        measured.mark_rule(strokeWidth=1, opacity=1).encode(
            axes.x, axes.y, y2=alt.Y2("attainable_flops_per_s:Q"), color=colour
        ),
        predicted.mark_point(strokeWidth=1.6, strokeDash=[2, 2], filled=False, opacity=1, size=220).encode(
            axes.x, axes.y, color=colour, shape=shape, tooltip=MEASURED_TOOLTIP
        ),
        measured.mark_point(filled=True, opacity=1, size=60).encode(
            axes.x, axes.y, color=colour, shape=shape, tooltip=MEASURED_TOOLTIP
        ),
    ]


def _draw_regions(axes: RooflineAxes) -> list[alt.Chart]:
    ridge = select_layer("ridge")
    top = alt.YValue(14)
    memory = ridge.mark_text(text="memory-bound", align="right", dx=-10, fontStyle="italic", color=GREY, fontSize=12)
    compute = ridge.mark_text(text="compute-bound", align="left", dx=10, fontStyle="italic", color=GREY, fontSize=12)
    return [
        ridge.mark_rect(color=BLUE, fillOpacity=0.06).encode(axes.x, x2=alt.X2Value(0)),
        ridge.mark_rect(color=ORANGE, fillOpacity=0.06).encode(axes.x, x2=alt.X2Value(WIDTH)),
        memory.encode(axes.x, y=top),
        compute.encode(axes.x, y=top),
    ]


def _draw_ceilings(axes: RooflineAxes) -> list[alt.Chart]:
    main, bandwidth, peak = alt.datum.is_main, select_layer("bandwidth"), select_layer("peak")
    each = alt.Detail("label:N")
    angle = 360 - math.degrees(math.atan2(axes.decade_height, axes.decade_width))
    faint = alt.FillOpacityValue(0.75, condition={"test": main, "value": 1})
    return [
        *(
            line.transform_filter(~main)
            .mark_line(color=SKY, strokeWidth=1.3, strokeDash=[5, 3])
            .encode(axes.x, axes.y, detail=each)
            for line in (bandwidth, peak)
        ),
        *(
            line.transform_filter(main).mark_line(color=BLUE, strokeWidth=2.5).encode(axes.x, axes.y, detail=each)
            for line in (bandwidth, peak)
        ),
        # the main slope is labelled above the line, the others below
        *(
            select_layer("slope label")
            .transform_filter(side)
            .mark_text(color=BLUE, fontSize=12, angle=angle, align="left", dx=14, dy=dy)
            .encode(axes.x, axes.y, text=LABEL, fillOpacity=faint)
            for side, dy in ((main, -9), (~main, 9))
        ),
        select_layer("ceiling label")
        .mark_text(align="left", dx=8, color=BLUE, fontSize=12)
        .encode(axes.y, x=alt.XValue(WIDTH), text=LABEL, fillOpacity=faint),
    ]


def _draw_point_labels(axes: RooflineAxes) -> list[alt.Chart]:
    """Return the labels of points with a halo, so that no ceiling runs through them."""
    label = select_layer("point label").encode(axes.x, axes.y, text=LABEL)
    style: dict[str, Any] = {"align": "left", "baseline": "top", "dx": 9, "dy": 5, "fontSize": 11, "lineBreak": "\n"}
    return [
        label.mark_text(**HALO, **style),
        label.mark_text(color=INK, **style),
    ]


def _place_slope_labels(frame: pl.DataFrame, axes: RooflineAxes) -> pl.DataFrame:
    """Return one row per bandwidth ceiling: its label, at the left edge of the chart."""
    ends = frame.filter(layer="bandwidth").sort(INTENSITY, ~pl.col("is_main"))
    low = ends.unique("label", keep="first", maintain_order=True)
    start = pl.when("is_main").then(2.2).otherwise(3.2) * axes.y_domain[0]
    along = pl.max_horizontal(start / pl.col(PERFORMANCE), 1.1 * axes.x_domain[0] / pl.col(INTENSITY))
    return low.with_columns(pl.col(INTENSITY) * along, pl.col(PERFORMANCE) * along, layer=pl.lit("slope label"))


def _compose_subtitle(frame: pl.DataFrame, points: pl.DataFrame, peaks: pl.DataFrame) -> list[str]:
    model, precision, dtype = frame.select("model", "precision_id", "dtype").row(0)
    basis, origin = peaks.filter("is_main").select("basis", "origin").row(0)
    roof = f"Solid: the {dtype} roof, basis {basis} ({origin}); dashed: other dtypes and bases"
    if points.is_empty():
        return [roof]
    if model is None:
        return ["Points of a query", roof]
    batch, sequence = points.select("batch_size", "sequence_length").row(0)
    setting = "" if batch is None else f", batch {batch}, sequence {sequence}"
    if "measured" in points["layer"]:
        source = points["source"][0].split(", cuda-event")[0]
        filled = f"{model} in {precision}{setting}. Filled: measured ({source})"
        return [filled, "Dotted: predicted by a calibrated roof. Lines: headroom to the roof", roof]
    return [f"{model} in {precision}{setting}, computed from shapes", roof]
