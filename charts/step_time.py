"""The least time of a decode step over batch, stacked by op group."""

import math
from typing import Any

import altair as alt
import polars as pl

from charts.decode_steps import (
    Finding,
    assemble_step_chart,
    describe_roof,
    describe_setting,
    list_looks,
    name_expected,
    name_model,
    select_context,
)
from charts.findings import join_names, list_dominant, shorten_names
from charts.label_layout import spread
from charts.style import GREY, HEIGHT, INK, LABEL, PALE, WIDTH

_LEAST_LABELLED = 0.03  # op groups with a smaller share of the step have no label
_LABEL_GAP = 0.045  # between labels, as a share of the step: 14 pixels or more
_NUMBER_WIDTH = 36  # pixels that a time above a bar may take
_GAP = 0.25  # between bars, as a share of a bar's slot
_NOT_MEMORY = {"compute-bound ops take": "compute_bound_share", "the interconnect takes": "interconnect_share"}
_TOOLTIP = [
    alt.Tooltip("op_group:N", title="op group"),
    alt.Tooltip("ops:N", title="ops"),
    alt.Tooltip("batch_size:Q", title="batch"),
    alt.Tooltip("sequence_length:Q", title="context", format=","),
    alt.Tooltip("time_ms:Q", title="least time, ms", format=".4~g"),
    alt.Tooltip("share:Q", title="share of the step", format=".1%"),
    alt.Tooltip("bound:N", title="bound"),
    alt.Tooltip("step_ms:Q", title="whole step, ms", format=".4~g"),
    alt.Tooltip("compute_bound_share:Q", title="compute-bound share", format=".1%"),
    alt.Tooltip("memory_bytes:Q", title="memory, bytes", format=".4~s"),
    alt.Tooltip("fits_in_memory:N", title="fits in memory"),
]


def draw_step_time(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/step_time.sql."""
    frame = shorten_names(shorten_names(frame, "hardware"), "model")
    batches = frame["batch_size"].unique().sort().to_list()
    groups = frame.sort("layer_number")["op_group"].unique(maintain_order=True).to_list()
    chosen = alt.selection_point(fields=["op_group"], bind="legend", name="group")
    place: dict[str, Any] = {
        "sort": batches,
        "scale": alt.Scale(domain=batches, paddingInner=_GAP, paddingOuter=_GAP / 2),
        "axis": alt.Axis(title="Batch (sequences decoded at once)", labelAngle=0, format=","),
    }
    x = alt.X("batch_size:O", **place)
    left, right = (alt.X("batch_size:O", bandPosition=position, **place) for position in (0, 1))
    has_expected = frame["expected_ms"].is_not_null().any()
    title = "Time of a decode step (ms): least and expected" if has_expected else "Least time of a decode step (ms)"
    axis = alt.Axis(title=title, tickCount=6)
    start, middle, end = (alt.Y(f"{place}_ms:Q", axis=axis) for place in ("start", "label", "end"))
    shape, expected = name_expected("expected_ms:Q", "stroke")
    layers = [
        select_context("datum.is_top", "!datum.fits_in_memory")
        .mark_rect(color=PALE, opacity=0.6, width=alt.RelativeBandSize(1 / (1 - _GAP)))
        .encode(x, y=alt.YValue(0), y2=alt.Y2Value(HEIGHT)),
        select_context("datum.is_top", "datum.is_first_without_room")
        .mark_text(text="does not fit", align="left", dx=-4, fontStyle="italic", color=GREY, fontSize=12)
        .encode(left, y=alt.YValue(-8)),
        select_context("datum.is_shown")
        .mark_bar(stroke="white", strokeWidth=0.4)
        .encode(
            x,
            start,
            alt.Y2("end_ms:Q"),
            color=alt.Color(
                "op_group:N",
                scale=alt.Scale(domain=groups, range=list_looks(groups)[0]),
                legend=alt.Legend(title="op group", orient="bottom", columns=5),
            ),
            opacity=alt.condition(chosen, alt.value(1), alt.value(0.15)),
            tooltip=_TOOLTIP,
        )
        .add_params(chosen),
        select_context("datum.is_shown", "datum.is_top", f"indexof({_choose_numbered(batches)}, datum.batch_size) >= 0")
        .mark_text(baseline="bottom", dy=-3, fontSize=11, color=INK)
        .encode(x, end, text=alt.Text("step_ms:Q", format=",.3~r")),
        select_context("datum.is_shown", "datum.is_top", "isValid(datum.expected_ms)")
        .mark_point(size=300, stroke=INK, strokeWidth=2, opacity=1)
        .encode(x, alt.Y("expected_ms:Q", axis=axis), shape=shape, tooltip=[expected, *_TOOLTIP[2:4]]),
        select_context("isValid(datum.label_ms)")
        .mark_text(align="left", dx=4, fontSize=11, color=INK)
        .encode(right, middle, text=LABEL),
    ]
    layers = layers if has_expected else [*layers[:-2], layers[-1]]
    frame = _place_labels(frame)
    kind = "Stacked bars: least time of a decode step by op group over batch"
    subtitle = [f"{describe_setting(frame)}; above each bar: milliseconds", *describe_roof(frame)]
    return assemble_step_chart(layers, frame, kind, subtitle, _find, title_offset=14)


def _choose_numbered(batches: list[int]) -> list[int]:
    """Return the batches whose bars have their time above them: all, or as many as there is room for."""
    return batches[:: math.ceil(_NUMBER_WIDTH * len(batches) / WIDTH)]


def _place_labels(frame: pl.DataFrame) -> pl.DataFrame:
    """Add where the labels of op groups stand beside the last bar: in the middle of their part, or a little off."""
    parts = frame.filter("is_last", pl.col("share") >= _LEAST_LABELLED).sort("middle_ms")
    keys = ["sequence_length", "batch_size", "op_group"]
    placed = [parts.clear().select(*keys, label_ms="middle_ms")]
    for labels in parts.partition_by("sequence_length"):
        highest = max(labels["step_ms"][0], labels["expected_ms"][0] or 0)
        places = spread(labels["middle_ms"].to_list(), _LABEL_GAP * highest)
        placed.append(labels.select(*keys, label_ms=pl.Series(places)))
    return frame.join(pl.concat(placed), on=keys, how="left", maintain_order="left")


def _find(rows: pl.DataFrame) -> Finding:
    """Say which op group takes the most time at the largest batch, from which batch on, and what bounds the steps."""
    hardware, context = rows.select("hardware", "sequence_length").row(0)
    subject = f"{name_model(rows)} on {hardware}, context {context:,}"
    shown = rows.filter("is_shown")
    bounds = _describe_bounds(shown.filter("is_top"))
    if not rows["fits_in_memory"].any():
        return Finding(f"{subject}: no batch fits in memory", [bounds, "the bars ignore memory"])
    dominant = list_dominant(shown)
    groups, shares = dominant["op_group"].to_list(), dominant["share"].to_list()
    verb = "takes" if len(groups[-1]) == 1 else "take"
    finding = f"{join_names(groups[-1])} {verb} the most time"
    if all(each == groups[-1] for each in groups):
        each = " each" if verb == "take" else ""
        fitting = "" if rows["is_shown"].all() else " that fits"
        at = f"every batch{fitting}" if len(groups) > 1 else f"batch {dominant['batch_size'][0]:,}"
        return Finding(f"{subject}: {finding} at {at}, {_describe_range(shares)}{each}", [bounds])
    since = max(i for i, each in enumerate(groups) if each != groups[-1]) + 1
    return Finding(f"{subject}: {finding} from batch {dominant['batch_size'][since]:,} on", [bounds])


def _describe_range(shares: list[float]) -> str:
    low, high = f"{min(shares):.0%}", f"{max(shares):.0%}"
    return low if low == high else f"{low} to {high}"


def _describe_bounds(steps: pl.DataFrame) -> str:
    """Say how much of a step is not memory-bound, at most."""
    most = {verb: max(steps[column].to_list(), default=0) for verb, column in _NOT_MEMORY.items()}
    said = [f"{verb} up to {share:.0%} of a step" for verb, share in most.items() if share]
    return ", ".join(said) or "every op is memory-bound"
