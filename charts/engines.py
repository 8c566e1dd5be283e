"""The share of the bound per output token that serving engines reach, by device, engine and tensor parallelism."""

import altair as alt
import polars as pl

from charts.axes import Layer
from charts.style import BLUE, COLOURS, GREY, INK, assemble_chart

_ROW_HEIGHT = 15
_FEW_RUNS = 5  # the title names none of fewer
_TOOLTIP = [
    alt.Tooltip("hardware:N", title="device"),
    alt.Tooltip("engine:N"),
    alt.Tooltip("tensor_parallel:Q", title="tensor parallel"),
    alt.Tooltip("runs:Q", format=","),
    alt.Tooltip("models:Q"),
    alt.Tooltip("low_share:Q", title="10 % of the runs are below", format=".1%"),
    alt.Tooltip("median_share:Q", title="median share of the bound", format=".1%"),
    alt.Tooltip("high_share:Q", title="10 % of the runs are above", format=".1%"),
    alt.Tooltip("above:Q", title="runs above the bound"),
    alt.Tooltip("median_error:Q", title="median error of the expected time", format=".1%"),
]


def draw_engines(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/engines.sql."""
    shown = frame.with_columns(
        row=pl.format("{} x {}, {}", "tensor_parallel", "hardware", "engine"),
        number=pl.format("{} run{}", "runs", pl.when(pl.col("runs") == 1).then(pl.lit("")).otherwise(pl.lit("s"))),
    )
    rows = shown["row"].to_list()
    engines = shown["engine"].unique().sort().to_list()
    y = alt.Y("row:N", sort=rows, scale=alt.Scale(domain=rows), axis=alt.Axis(title=None, ticks=False, labelLimit=0))
    x = alt.X(
        "median_share:Q",
        scale=alt.Scale(domain=[0, 1.12], nice=False),
        axis=alt.Axis(title="Share of the bound per output token", format=".0%", values=[0, 0.25, 0.5, 0.75, 1]),
    )
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(engines))] or [BLUE]
    colour = alt.Color("engine:N", title="engine", scale=alt.Scale(domain=engines, range=colours))
    base = Layer()
    layers = [
        base.mark_rule(color=GREY, strokeDash=[5, 3]).encode(x=alt.XDatum(1)),
        base.mark_rule(strokeWidth=3, opacity=0.35).encode(
            y, colour, x=alt.X("low_share:Q"), x2=alt.X2("high_share"), tooltip=_TOOLTIP
        ),
        base.mark_point(size=55, filled=True, opacity=1).encode(x, y, colour, tooltip=_TOOLTIP),
        base.mark_text(align="left", dx=6, fontSize=10, color=INK).encode(
            y, x=alt.X("high_share:Q"), text=alt.Text("number:N")
        ),
    ]
    return assemble_chart(
        layers, shown, "Dot plot", _compose_title(frame), _compose_subtitle(frame), height=_ROW_HEIGHT * len(shown)
    )


def _compose_title(frame: pl.DataFrame) -> str:
    many = frame.filter(pl.col("runs") >= _FEW_RUNS)
    known = frame if many.is_empty() else many
    best = known.row(known["median_share"].arg_max() or 0, named=True)
    what = f"{best['engine']} on {best['tensor_parallel']} x {best['hardware']}"
    return f"Serving engines: {what} comes closest to its bound, {best['median_share']:.0%} in the median"


def _compose_subtitle(frame: pl.DataFrame) -> list[str]:
    count = frame["runs"].sum()
    runs = f"{count:,} run{'s' if count != 1 else ''}"
    lines = [
        f"{runs} by tensor parallelism, device and engine: median, and the range of 80% of them",
        "Bound of a step: what requests in flight decode, and the prompts of those that follow, each op at its roof",
    ]
    if above := frame["above"].sum():
        lines.append(f"{above:,} more above the bound are not shown; `cause` of mart.measured_serving says why")
    return lines
