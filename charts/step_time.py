"""The least time of a decode step over batch, stacked by op group."""

import altair as alt
import polars as pl

from charts.decode_steps import (
    describe_roof,
    describe_setting,
    draw_context_label,
    list_looks,
    make_context_choice,
    select_context,
    select_shortest_context,
)
from charts.style import GREY, HEIGHT, INK, LABEL, PALE, add_parameter, assemble_chart

_LEAST_LABELLED = 0.03  # op groups with a smaller share of the step have no label
_GAP = 0.25  # between bars, as a share of a bar's slot
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
    batches = frame["batch_size"].unique().sort().to_list()
    groups = frame.sort("layer_number")["op_group"].unique(maintain_order=True).to_list()
    chosen = alt.selection_point(fields=["op_group"], bind="legend", name="group")
    x = alt.X(
        "batch_size:O",
        sort=batches,
        scale=alt.Scale(domain=batches, paddingInner=_GAP, paddingOuter=_GAP / 2),
        axis=alt.Axis(title="Batch (sequences decoded at once)", labelAngle=0, format=","),
    )
    axis = alt.Axis(title="Least time of a decode step (ms)", tickCount=6)
    start, middle, end = (alt.Y(f"{place}_ms:Q", axis=axis) for place in ("start", "middle", "end"))
    layers = [
        select_context("datum.is_top", "!datum.fits_in_memory")
        .mark_rect(color=PALE, opacity=0.6, width=alt.RelativeBandSize(1 / (1 - _GAP)))
        .encode(x, y=alt.YValue(0), y2=alt.Y2Value(HEIGHT)),
        select_context("datum.is_top", "datum.is_first_without_room")
        .mark_text(text="does not fit", align="left", dx=-24, fontStyle="italic", color=GREY, fontSize=12)
        .encode(x, y=alt.YValue(28)),
        draw_context_label(select_context("datum.is_top", f"datum.batch_size == {batches[0]}"), 8),
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
        select_context("datum.is_shown", "datum.is_top")
        .mark_text(baseline="bottom", dy=-3, fontSize=11, color=INK)
        .encode(x, end, text=alt.Text("step_ms:Q", format=".3~r")),
        select_context("datum.is_last", f"datum.share >= {_LEAST_LABELLED}")
        .mark_text(align="left", dx=24, fontSize=11, color=INK)
        .encode(x, middle, text=LABEL),
    ]
    shown = select_shortest_context(frame)
    title, subtitle = _compose_title(shown), _compose_subtitle(shown)
    kind = "Stacked bars: least time of a decode step by op group over batch"
    chart = assemble_chart(layers, frame, kind, title, subtitle, offset=18)
    return add_parameter(chart, make_context_choice(frame))


def _compose_title(shown: pl.DataFrame) -> str:
    """Say which op group takes the most time at the largest batch, and from which batch on."""
    subject = "{} on {}, context {:,}: ".format(*shown.select("model", "hardware", "sequence_length").row(0))
    if not shown["is_shown"].any():
        return f"{subject}no batch fits in memory"
    largest = (
        shown.filter("is_shown")
        .sort("batch_size", "share", descending=[False, True])
        .group_by("batch_size", maintain_order=True)
    )
    most = largest.agg(pl.col("op_group", "share").first())
    first, last = most["op_group"][0], most["op_group"][-1]
    if first == last:
        shares = most["share"].to_list()
        return f"{subject}{first} takes the most time at every batch, {min(shares):.0%} to {max(shares):.0%}"
    since = most.filter((pl.col("op_group") != last).reverse().cum_sum().reverse() == 0)["batch_size"][0]
    return f"{subject}{last} takes the most time from batch {since:,} on"


def _compose_subtitle(shown: pl.DataFrame) -> list[str]:
    steps = shown.filter("is_shown", "is_top")
    most = max(steps["compute_bound_share"].to_list(), default=0)
    bound = f"compute-bound ops take up to {most:.0%} of a step" if most else "every op is memory-bound"
    lines = [f"{describe_setting(shown)}: {bound}; above each bar: milliseconds", *describe_roof(shown)]
    if not shown["fits_in_memory"].any():
        lines.append("The model does not fit in memory at any of these settings: the bars ignore memory")
    return lines
