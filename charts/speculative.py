"""Speculative decoding: op groups at growing numbers of candidate tokens."""

import altair as alt
import polars as pl

from charts.axes import clip_roofs, select_layer
from charts.roofline import RoofLabels, RooflineAxes, draw_labels, draw_ridge
from charts.style import COLOURS, INK, TOOLTIP, assemble_chart

_SHAPES = ["circle", "square", "triangle-up", "diamond"]


def draw_speculative(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/speculative.sql."""
    axes = RooflineAxes(frame)
    points = frame.filter(layer="computed")
    groups = points["op_group"].unique().sort().to_list()
    layers = [
        select_layer("roof").mark_line(color=INK, strokeWidth=1.5).encode(axes.x, axes.y),
        draw_ridge(axes),
        select_layer("computed")
        .mark_point(size=60, strokeWidth=2, fill="white", opacity=1)
        .encode(
            axes.x,
            axes.y,
            color=alt.Color(
                "label:N",
                scale=alt.Scale(domain=groups, range=COLOURS[: len(groups)]),
                legend=alt.Legend(title="op group", orient="bottom", direction="horizontal"),
            ),
            shape=alt.Shape("label:N", scale=alt.Scale(domain=groups, range=_SHAPES[: len(groups)])),
            tooltip=TOOLTIP,
        ),
        *draw_labels(axes, INK),
    ]
    lines = clip_roofs(frame, axes.x_domain, axes.y_domain[0])
    labels = RoofLabels(axes)
    labels.add_lines(lines)
    labels.add_points(points)
    for row in frame.filter(layer="ridge").iter_rows(named=True):
        labels.place_ridge(row)
    labels.place_numbers(points, "query_length")
    return assemble_chart(
        layers,
        pl.concat([lines, labels.rows], how="diagonal"),
        "Roofline",
        _compose_title(points),
        _compose_subtitle(frame, points),
    )


def _compose_subtitle(frame: pl.DataFrame, points: pl.DataFrame) -> list[str]:
    hardware, model, precision = frame.select("hardware", "model", "precision_id").row(0)
    origin, basis, roof = frame.filter(layer="roof").select("origin", "basis", "label").row(0)
    lines = [f"Roof: {roof}, basis {basis} ({origin})"]
    if not points.is_empty():
        batch, context = points.select("batch_size", "sequence_length").row(0)
        setting = f"{model} on {hardware}, {precision}, batch {batch}, context {context}, computed from shapes"
        lines.insert(0, f"{setting}; numbers: candidate tokens (1 is plain decode)")
    return lines


def _compose_title(points: pl.DataFrame) -> str:
    """Say for each op group at how many candidates it becomes compute-bound."""
    sentences = []
    for group in points["op_group"].unique().sort():
        candidates = points.filter(op_group=group).sort("query_length")
        compute_bound = candidates.filter(bound="compute")["query_length"]
        sentences.append(
            f"{group} stays memory-bound through {candidates['query_length'][-1]} candidates"
            if compute_bound.is_empty()
            else f"{group} becomes compute-bound by {compute_bound[0]}"
        )
    return "; ".join(sentences) or "no points"
