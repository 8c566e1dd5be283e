"""The roofline as the Medusa paper draws it (Cai et al. 2024, arXiv 2401.10774, figures 9 to 17)."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import altair as alt
import polars as pl

from charts.axes import INTENSITY, PERFORMANCE, Domain, Layer, clip_roofs, select_layer, x_axis, y_axis
from charts.choices import compose_texts, draw_caption, offer_choice
from charts.paper_text import (
    NEAREST,
    compose_caption,
    compose_subtitle,
    compose_title,
    find_first_choice,
    list_choices,
)
from charts.style import LABEL, MEASURED_TOOLTIP, add_parameter, compose_description, style_chart
from charts.summaries import summarize_grid
from charts.texts import Texts


class Mark(NamedTuple):
    """How a series is drawn: colour, path, size in square pixels, stroke width, and turn (later ones are on top)."""

    colour: str
    shape: str
    size: int
    width: float
    turn: int


# The paper's names and colours, in its order. Series can share a point, so no mark hides the strokes of those below it.
# The marks of attention form a column at one intensity, so they are flat.
SERIES = {
    "qkv mlp init": Mark("#1f77b4", "M-.7,-.7L.7,.7M-.7,.7L.7,-.7", 120, 1.5, 3),
    "qkv mlp ar": Mark("#e67300", "M-.95,-.4L.95,.4M-.95,.4L.95,-.4", 190, 1.5, 4),
    "up/gate/down init": Mark("#2ca02c", "M-.8,0L.8,0M0,-.8L0,.8", 90, 1.5, 5),
    "up/gate/down ar": Mark("#d62728", "M-.4,-.95L.4,.95M-.4,.95L.4,-.95", 110, 1.5, 6),
    "qk/pv init": Mark("#9467bd", "M0,.1L0,.6M-1,-.4L0,.1L1,-.4", 150, 1.5, 1),
    "qk/pv ar": Mark("#8c564b", "M-1,0L1,0", 220, 1.3, 2),
}

_WIDTH, _HEIGHT = 640, 400
_INTENSITIES = (0.6, 1e4)  # the seeds' frame; it grows if a point or the ridge is outside
_LEAST_PERFORMANCE = 1e10
_CHOICE = "marks"
_KIND = "Performance over operational intensity on logarithmic axes"
_OTHER_COLOURS = ["#c76fa1", "#888", "#9f9200", "#2f95d0"]  # of series that the paper does not have
_ROOM = 1.6  # between a point and the edge of such a frame, as a factor
_GRID = {
    "mantissas": range(1, 10), "gridColor": "#dcdcdc", "gridWidth": 0.6, "ticks": False, "labelOverlap": False,
    "labelExpr": "pow(10, round(log(datum.value) / LN10)) == datum.value "
    "? format(datum.value, datum.value < 1 ? '~r' : '~s') : ''",
}  # fmt: skip

# Each pair: the main roof, the others.
_DASHES, _WIDTHS = ([6, 4], [2, 3]), (1.8, 0.9)
_CEILINGS = {"bandwidth": ("#0000ff", "#000080"), "peak": ("#ff0000", "#a00000")}
_RIDGE = "#008000"

_ROW = 14  # height of a row of the legend, in pixels
_LETTER = 6.4  # width of a letter of the legend, in pixels
_KEY = 100  # area of a legend symbol, in square pixels: the legend places rows and labels by it
_LINE_KEY = "M-2.6,0L2.6,0"  # longer than such a symbol, so that three dashes fit ...
_OVERHANG = 8  # ... by this many pixels


def draw_paper(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/paper.sql."""
    ends = frame.filter(pl.col("layer").is_in(["bandwidth", "peak"])).unique("label", maintain_order=True)
    ceilings = ends.sort("layer", "is_main", PERFORMANCE, descending=[False, True, True])
    intensities, performances = _find_ranges(frame)
    x = x_axis(intensities, "Operational Intensity (FLOP/Byte)", **_GRID)
    y = y_axis(performances, "Performance (FLOP/s)", **_GRID)
    series = _list_series(frame)
    ground, roof_legend, mark_legend = _draw_legends(ceilings["label"].to_list(), list(series))
    choices = list_choices(frame)
    captions = {choice: compose_caption(marks, frame) for choice, marks in choices.items()}
    chart: alt.LayerChart = alt.layer(
        *_draw_roofs(frame, ceilings, x, y, roof_legend, ground),
        _draw_marks(series, x, y, mark_legend, has_choice=len(choices) > 1),
        draw_caption(captions, "marks", x=_WIDTH / 2, align="center"),
    ).resolve_scale(color="independent", strokeDash="independent", strokeWidth="independent", shape="independent")
    title, subtitle = compose_title(frame), compose_subtitle(ceilings, frame["precision_id"][0])
    kind = f"{_KIND}, for {', '.join(series)}. Roofs: {', '.join(ceilings['label'])}"
    texts = {
        choice: compose_texts(kind, title, [summarize_grid(marks), *subtitle, captions[choice]])
        for choice, marks in choices.items()
    }
    turns = {name: mark.turn for name, mark in series.items()}
    order = pl.col("label").replace_strict(turns, default=0, return_dtype=pl.Int64)
    style_chart(
        chart,
        clip_roofs(frame.sort(order, maintain_order=True), intensities),
        title=alt.TitleParams(title, subtitle=subtitle, anchor="middle"),
        width=_WIDTH,
        height=_HEIGHT,
        description=compose_description(kind, title, [*subtitle, *captions.values()]),
    )
    _offer_marks(chart, texts, find_first_choice(frame))
    return chart


def _offer_marks(chart: alt.LayerChart, texts: Mapping[str, Texts], first: str) -> None:
    """Let the reader choose the marks, if there are several kinds."""
    if len(texts) == 1:
        chart.description = texts[first].description
        return
    names = ["best known" if choice == NEAREST else choice for choice in texts]
    radio = alt.binding_radio(options=list(texts), labels=names, name=f"{_CHOICE} ")
    add_parameter(chart, alt.param(name="marks", value=first, bind=radio))
    offer_choice(chart, "marks", _CHOICE, {first: texts[first], **texts})


def _find_ranges(frame: pl.DataFrame) -> tuple[Domain, Domain]:
    """Return the ranges of intensity and performance: the seeds', or wider ones that hold every point and ridge."""
    points = frame.filter(pl.col("is_nearest").is_not_null(), pl.col(INTENSITY) > 0, pl.col(PERFORMANCE) > 0)
    inside = pl.concat([points, frame.filter(layer="ridge")])
    left, right = _INTENSITIES
    left = min([left, *(inside[INTENSITY] / _ROOM).to_list()])
    right = max([right, *(inside[INTENSITY] * _ROOM).to_list()])
    starts = frame.filter(layer="bandwidth").select(left * pl.col(PERFORMANCE) / pl.col(INTENSITY)).to_series()
    bottom = min([_LEAST_PERFORMANCE, *(points[PERFORMANCE] / _ROOM).to_list(), *starts.to_list()])
    top = max([2.5 * each for each in frame.filter(layer="peak")[PERFORMANCE]])
    return (left, right), (bottom, max([top, *(points[PERFORMANCE] * _ROOM).to_list()]))


def _list_series(frame: pl.DataFrame) -> dict[str, Mark]:
    """Return the series of the legend: the paper's, and others that a chart shows."""
    shown = frame.filter(pl.col("is_nearest").is_not_null())["label"].unique().sort()
    others = [name for name in shown if name not in SERIES]
    colours = [_OTHER_COLOURS[i % len(_OTHER_COLOURS)] for i in range(len(others))]
    first = SERIES["qkv mlp init"]
    return {**SERIES, **{name: first._replace(colour=each) for name, each in zip(others, colours, strict=True)}}


def _draw_roofs(
    frame: pl.DataFrame, ceilings: pl.DataFrame, x: alt.X, y: alt.Y, legend: alt.Legend, ground: alt.Chart
) -> list[alt.Chart]:
    """Return ceilings and ridges below the legend's ground, and above it the reference line if the chart has one."""
    (dashed, dotted), (thick, thin) = _DASHES, _WIDTHS
    kinds, is_main = ceilings["layer"].to_list(), ceilings["is_main"].to_list()
    colours = [_CEILINGS[kind][not main] for kind, main in zip(kinds, is_main, strict=True)]
    dashes, widths = ([main if each else other for each in is_main] for main, other in (_DASHES, _WIDTHS))
    scale = partial(alt.Scale, type="ordinal", domain=ceilings["label"].to_list())
    lines = Layer().transform_filter("datum.layer == 'bandwidth' || datum.layer == 'peak'").mark_line()
    ridge, reference = select_layer("ridge"), select_layer("reference")
    ridges = frame.filter(layer="ridge").sort(INTENSITY)["label"].to_list()
    lowest = ridges[0] if len(ridges) > 1 else None  # labelled at its left, away from the others
    left, right = (ridge.transform_filter(f"datum.label {is_} '{lowest}'") for is_ in ("==", "!="))
    height = alt.YValue(200)
    layers = [
        lines.encode(
            x,
            y,
            color=alt.Color("label:N", scale=scale(range=colours), legend=legend),
            strokeDash=alt.StrokeDash("label:N", scale=scale(range=dashes), legend=legend),
            strokeWidth=alt.StrokeWidth("label:N", scale=scale(range=widths), sort="ascending", legend=legend),
        ),
        ridge.mark_rule(color=_RIDGE).encode(
            x,
            strokeDash=alt.StrokeDashValue(dotted, condition={"test": "datum.is_main", "value": dashed}),
            strokeWidth=alt.StrokeWidthValue(thin, condition={"test": "datum.is_main", "value": thick}),
            tooltip=[alt.Tooltip("label:N", title="ridge"), alt.Tooltip("basis:N")],
        ),
        left.mark_text(align="right", dx=-5, color=_RIDGE).encode(x, y=height, text=LABEL),
        right.mark_text(align="left", dx=5, color=_RIDGE).encode(x, y=height, text=LABEL),
        ground,
    ]
    if "reference" in frame["layer"]:
        text = reference.mark_text(align="left", baseline="bottom", dx=4, dy=-2, color=_RIDGE)
        layers += [
            reference.mark_rule(color=_RIDGE, strokeWidth=thin, strokeDash=dashed).encode(y),
            text.encode(y, x=alt.XValue(0), text=LABEL),
        ]
    return layers


def _draw_marks(series: Mapping[str, Mark], x: alt.X, y: alt.Y, legend: alt.Legend, *, has_choice: bool) -> alt.Chart:
    """Return the marks: those that the reader chooses, if there is a choice."""
    shown = f"marks == '{NEAREST}' ? datum.is_nearest : datum.layer == marks" if has_choice else "datum.is_shown"
    colours, shapes, sizes, widths, _ = map(list, zip(*series.values(), strict=True))
    scale = partial(alt.Scale, type="ordinal", domain=list(series))
    points: alt.Chart = Layer().transform_filter(shown).mark_point(filled=False, opacity=1)
    return points.encode(
        x,
        y,
        color=alt.Color("label:N", scale=scale(range=colours), legend=legend),
        shape=alt.Shape("label:N", scale=scale(range=shapes), legend=legend),
        size=alt.Size("label:N", scale=scale(range=sizes), sort="ascending", legend=None),
        strokeWidth=alt.StrokeWidth("label:N", scale=scale(range=widths), sort="ascending", legend=legend),
        tooltip=[alt.Tooltip("layer:N", title="mark"), *MEASURED_TOOLTIP],
    )


def _draw_legends(roofs: list[str], series: list[str]) -> tuple[alt.Chart, alt.Legend, alt.Legend]:
    """Return the ground of both legends, and the legends of roofs and of series, stacked in the lower right corner."""
    left = _WIDTH - _LETTER * max(len(label) for label in [*roofs, *series]) - 50
    top = _HEIGHT - _ROW * (len(roofs) + len(series)) - 14
    common: dict[str, Any] = {
        "orient": "none", "legendX": left + _OVERHANG, "title": None, "symbolSize": _KEY, "labelOffset": _OVERHANG + 4,
        "padding": 3,
    }  # fmt: skip
    # drawn for one row only, and not placed by its values
    ground = select_layer("ridge").transform_filter("datum.is_main")
    return (
        ground.mark_rect(aria=False, fill="white", stroke="#cccccc", strokeWidth=0.6).encode(
            x=alt.XValue(left - 4), x2=alt.X2Value(_WIDTH - 6), y=alt.YValue(top - 2), y2=alt.Y2Value(_HEIGHT - 6)
        ),
        alt.Legend(legendY=top, symbolType=_LINE_KEY, **common),
        alt.Legend(legendY=top + _ROW * len(roofs), symbolStrokeWidth=1.5, **common),
    )
