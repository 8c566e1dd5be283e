"""Runs over time: how long each took, how it ended, what it changed."""

from typing import Any

import altair as alt
import polars as pl

from charts.axes import Layer
from charts.style import BLUE, GREEN, GREY, VERMILION, assemble_chart

_LOOKS = {
    "succeeded": (BLUE, "circle"),
    "unchanged": (GREEN, "diamond"),
    "failed": (VERMILION, "cross"),
    "running": (GREY, "square"),
}
_HOUR_MS = 3_600_000
_TOOLTIP = [
    alt.Tooltip("run_number:Q", title="run"),
    alt.Tooltip("run_id:N", title="id"),
    alt.Tooltip("started_at:N", title="started"),
    alt.Tooltip("seconds:Q", format=".3~f"),
    alt.Tooltip("status:N"),
    alt.Tooltip("rows_inserted:Q", title="rows added", format=","),
    alt.Tooltip("rows_updated:Q", title="rows changed", format=","),
    alt.Tooltip("rows_deleted:Q", title="rows deleted", format=","),
    alt.Tooltip("changed:N", title="tables"),
    alt.Tooltip("error:N"),
    alt.Tooltip("code_version:N", title="code"),
]


def draw_history(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/history.sql."""
    shown = {status: look for status, look in _LOOKS.items() if status in frame["status"]}
    chosen = alt.selection_point(fields=["status"], bind="legend", name="ended")
    faded = alt.condition(chosen, alt.value(1), alt.value(0.12))
    starts = frame["started_at"].str.to_datetime(time_zone="UTC").dt.epoch("ms").to_list()
    first, last = min(starts), max(starts)
    room = max((last - first) // 20, _HOUR_MS)
    x = alt.X(
        "started_at:T",
        scale=alt.Scale(type="utc", domain=[first - room, last + room]),
        axis=alt.Axis(title="Start of the run (UTC)", tickCount=5, format="%Y-%m-%d %H:%M", labelOverlap=True),
    )
    y = alt.Y("seconds:Q", axis=alt.Axis(title="Duration of the run (s)", tickCount=6))
    layers: list[Any] = [
        Layer().mark_rule(color=GREY, strokeWidth=1, opacity=0.5).encode(x, y, y2=alt.Y2Datum(0)),
        Layer()
        .mark_point(filled=True, size=90, opacity=1)
        .encode(
            x,
            y,
            color=alt.Color(
                "status:N",
                scale=alt.Scale(domain=list(shown), range=[colour for colour, _ in shown.values()]),
                legend=alt.Legend(title="status", orient="bottom", direction="horizontal"),
            ),
            shape=alt.Shape(
                "status:N", scale=alt.Scale(domain=list(shown), range=[shape for _, shape in shown.values()])
            ),
            fillOpacity=faded,
            tooltip=_TOOLTIP,
        )
        .add_params(chosen),
    ]
    title, subtitle = _compose_title(frame), ["From the start until readers can see the rows, or until the run failed"]
    return assemble_chart(layers, frame, "Duration of runs over time", title, subtitle)


def _compose_title(frame: pl.DataFrame) -> str:
    """Say how the runs ended, and what the last one changed."""
    counts = dict(frame["status"].value_counts().rows())
    ended = ", ".join(f"{counts[status]:,} {status}" for status in _LOOKS if status in counts)
    last = frame.row(-1, named=True)
    rows = last["rows_inserted"] + last["rows_updated"] + last["rows_deleted"]
    runs = f"{len(frame):,} run{'s' if len(frame) > 1 else ''}"
    return f"{runs} ({ended}); the last took {last['seconds']:.3g} s and changed {rows:,} rows"
