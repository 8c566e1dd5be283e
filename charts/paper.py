"""The roofline as the Medusa paper draws it (Cai et al. 2024, arXiv 2401.10774, figures 9 to 17)."""

from typing import Any, NamedTuple

import altair as alt
import polars as pl

from charts.axes import INTENSITY, PERFORMANCE, Layer, clip_roofs, select_layer, x_axis, y_axis
from charts.style import GREY, LABEL, MEASURED_TOOLTIP, style_chart


class Mark(NamedTuple):
    """How a series is drawn: colour, strokes, size in square pixels, width of the strokes, and turn."""

    colour: str
    shape: str
    size: int
    width: float
    turn: int


# The paper's names and colours, in its order. Marks of several series can lie on one spot: those of a later turn are
# on top, and run where those below do not. Attention is at many heights of one intensity, so its marks are flat.
SERIES = {
    "qkv mlp init": Mark("#1f77b4", "M-.7,-.7L.7,.7M-.7,.7L.7,-.7", 120, 1.5, 3),
    "qkv mlp ar": Mark("#ff7f0e", "M-.95,-.4L.95,.4M-.95,.4L.95,-.4", 190, 1.5, 4),
    "up/gate/down init": Mark("#2ca02c", "M-.8,0L.8,0M0,-.8L0,.8", 90, 1.5, 5),
    "up/gate/down ar": Mark("#d62728", "M-.4,-.95L.4,.95M-.4,.95L.4,-.95", 110, 1.5, 6),
    "qk/pv init": Mark("#9467bd", "M0,.1L0,.6M-1,-.4L0,.1L1,-.4", 150, 1.5, 1),
    "qk/pv ar": Mark("#8c564b", "M-1,0L1,0", 220, 1.3, 2),
}

# What is known of points, from the nearest to the truth on.
KINDS = ("measured", "predicted", "computed")
_NEAREST = "nearest"

_RIDGE = "#008000"
_COLOURS = {"bandwidth": ("#0000ff", "#000080"), "peak": ("#ff0000", "#a00000")}  # of the main ceiling, and of others
_WIDTH, _HEIGHT = 640, 400
_INTENSITIES = (0.6, 1e4)
_DASHES, _WIDTHS = ([6, 4], [2, 3]), (1.8, 0.9)  # likewise
_LABEL_DECADES = "pow(10, round(log(datum.value) / LN10)) == datum.value ? format(datum.value, '~s') : ''"

_ROW = 14  # pixels of a row of the legend
_KEY = 100  # square pixels of a key, by which the legend places rows and labels
_LINE_KEY = "M-2.6,0L2.6,0"  # wider than that, so that three dashes fit
_ASIDE = 8  # pixels by which it is


def draw_paper(frame: pl.DataFrame) -> alt.LayerChart:
    """Return the chart of the rows of sql/charts/paper.sql."""
    ceilings = _ceilings(frame)
    domain = (1e10, 2.5 * frame.filter(layer="peak").select(pl.max(PERFORMANCE)).item())
    x = x_axis(_INTENSITIES, "Operational Intensity (FLOP/Byte)", **_fine_grid(*_INTENSITIES))
    y = y_axis(domain, "Performance (FLOP/s)", **_fine_grid(*domain))
    chosen, choices = _chosen(frame), _choices(frame)
    title = "Roofline Model ({}, {})".format(*frame.select("model", "hardware").row(0))
    labels = ceilings["label"].to_list()
    left = _WIDTH - 6.4 * max(len(label) for label in [*labels, *SERIES]) - 50
    layers = [
        _lines(ceilings, x, y, _legend(_LINE_KEY, left, len(labels) + len(SERIES))),
        *_ridges(frame, x),
        _ground(left, len(labels) + len(SERIES)),
        *_reference(frame, y),
        _points(x, y, _legend(None, left, len(SERIES)), has_choice=len(choices) > 1),
        *_lines_of_marks(frame, choices),
    ]
    chart: Any = alt.layer(*layers).resolve_scale(
        color="independent", strokeDash="independent", strokeWidth="independent", shape="independent"
    )
    if len(choices) > 1:
        chart.params = [_parameter(choices, chosen).param]
    turns = {name: mark.turn for name, mark in SERIES.items()}
    order = pl.col("label").replace_strict(turns, default=0, return_dtype=pl.Int64)
    return style_chart(
        chart,
        clip_roofs(frame.sort(order, maintain_order=True), _INTENSITIES),
        title=alt.TitleParams(title, subtitle=_say_roofs(frame), anchor="middle"),
        width=_WIDTH,
        height=_HEIGHT,
        description=f"{title}: performance over operational intensity on logarithmic axes. "
        f"Roofs: {', '.join(labels)}. Series: {', '.join(SERIES)}. Marks: {_say_marks(frame, chosen)}.",
    )


def _ceilings(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a row a line of the legend: slopes before peaks, and of each the main one first."""
    ends = frame.filter(pl.col("layer").is_in(["bandwidth", "peak"])).unique("label", maintain_order=True)
    return ends.sort("layer", "is_main", PERFORMANCE, descending=[False, True, True])


def _lines(ceilings: pl.DataFrame, x: alt.X, y: alt.Y, legend: alt.Legend) -> alt.Chart:
    """Return the ceilings: the main ones thick and dashed, the others thin and dotted."""
    labels, layers, is_main = (ceilings[name].to_list() for name in ("label", "layer", "is_main"))
    colours = [_COLOURS[layer][not main] for layer, main in zip(layers, is_main, strict=True)]

    def look(values: list[Any]) -> alt.Scale:
        return alt.Scale(type="ordinal", domain=labels, range=values)

    dashes, widths = ([main if each else other for each in is_main] for main, other in (_DASHES, _WIDTHS))
    lines: alt.Chart = (
        Layer()
        .transform_filter("datum.layer == 'bandwidth' || datum.layer == 'peak'")
        .mark_line()
        .encode(
            x,
            y,
            color=alt.Color("label:N", scale=look(colours), legend=legend),
            strokeDash=alt.StrokeDash("label:N", scale=look(dashes), legend=legend),
            strokeWidth=alt.StrokeWidth("label:N", scale=look(widths), legend=legend),
        )
    )
    return lines


def _ridges(frame: pl.DataFrame, x: alt.X) -> list[alt.Chart]:
    """Return the ridges and their values, the lowest of several on its left, out of the way of the others."""
    ridges = frame.filter(layer="ridge").sort(INTENSITY)
    lowest = ridges["label"][0] if len(ridges) > 1 else None
    (dashed, dotted), (thick, thin) = _DASHES, _WIDTHS
    sides: list[tuple[str, Any, int]] = [("==", "right", -5), ("!=", "left", 5)]
    return [
        select_layer("ridge")
        .mark_rule(color=_RIDGE)
        .encode(
            x,
            strokeDash=alt.StrokeDashValue(dotted, condition={"test": "datum.is_main", "value": dashed}),
            strokeWidth=alt.StrokeWidthValue(thin, condition={"test": "datum.is_main", "value": thick}),
            tooltip=[alt.Tooltip("label:N", title="ridge"), alt.Tooltip("basis:N")],
        ),
        *(
            select_layer("ridge")
            .transform_filter(f"datum.label {comparison} '{lowest}'")
            .mark_text(align=align, dx=dx, color=_RIDGE)
            .encode(x, y=alt.YValue(200), text=LABEL)
            for comparison, align, dx in sides
        ),
    ]


def _reference(frame: pl.DataFrame, y: alt.Y) -> list[alt.Chart]:
    """Return the horizontal line that a chart may have beside its roofs, and its label."""
    if frame.filter(layer="reference").is_empty():
        return []
    reference = select_layer("reference")
    return [
        reference.mark_rule(color=_RIDGE, strokeWidth=_WIDTHS[1], strokeDash=_DASHES[0]).encode(y),
        reference.mark_text(align="left", baseline="bottom", dx=4, dy=-2, color=_RIDGE).encode(
            y, x=alt.XValue(0), text=LABEL
        ),
    ]


def _points(x: alt.X, y: alt.Y, legend: alt.Legend, *, has_choice: bool) -> alt.Chart:
    """Return the marks of the chosen kind."""
    names = list(SERIES)
    colours, shapes, sizes, widths, _ = (list(each) for each in zip(*SERIES.values(), strict=True))

    def look(values: list[Any]) -> alt.Scale:
        return alt.Scale(type="ordinal", domain=names, range=values)

    nearest = f"marks == '{_NEAREST}' ? datum.is_nearest : datum.layer == marks"
    points: alt.Chart = (
        Layer()
        .transform_filter(nearest if has_choice else "datum.is_shown")
        .mark_point(filled=False, opacity=1)
        .encode(
            x,
            y,
            color=alt.Color("label:N", scale=look(colours), legend=legend),
            shape=alt.Shape("label:N", scale=look(shapes), legend=legend),
            size=alt.Size("label:N", scale=look(sizes), legend=None),
            strokeWidth=alt.StrokeWidth("label:N", scale=look(widths), legend=None),
            tooltip=[alt.Tooltip("layer:N", title="mark"), *MEASURED_TOOLTIP],
        )
    )
    return points


def _choices(frame: pl.DataFrame) -> list[str]:
    """Return the kinds of marks that there are, and before them the nearest to the truth if that is of several."""
    points = frame.filter(pl.col("is_nearest").is_not_null())
    there = [kind for kind in KINDS if kind in points["layer"]]
    return [_NEAREST, *there] if points.filter("is_nearest")["layer"].n_unique() > 1 else there


def _chosen(frame: pl.DataFrame) -> str:
    """Return which of the choices is drawn first."""
    points = frame.filter(pl.col("is_nearest").is_not_null())
    kinds = points.filter("is_shown")["layer"].unique().to_list()
    return kinds[0] if len(kinds) == 1 else _NEAREST


def _parameter(choices: list[str], chosen: str) -> alt.Parameter:
    labels = ["nearest to the truth" if choice == _NEAREST else choice for choice in choices]
    return alt.param(name="marks", value=chosen, bind=alt.binding_radio(options=choices, labels=labels, name="marks "))


def _say_marks(frame: pl.DataFrame, choice: str) -> str:
    """Say of which kinds the marks of a choice are, and how many of each."""
    points = frame.filter("is_nearest" if choice == _NEAREST else pl.col("layer") == choice)
    parts = [(kind, points.filter(layer=kind)) for kind in KINDS if kind in points["layer"]]
    return "; ".join(f"{len(part)} {_say_kind(kind, part, frame)}" for kind, part in parts)


def _say_kind(kind: str, points: pl.DataFrame, frame: pl.DataFrame) -> str:
    """Say how points of one kind were made."""
    if kind == "measured":
        # device and software; the whole stands on the page, and in the data
        by = sorted({", ".join(source.split(", ")[:2]) for source in points["source"]})
        return f"measured ({by[0]})" if len(by) == 1 else f"measured ({len(by)} sources)"
    if kind == "predicted":
        lenders = points.group_by("transferred_from").len().drop_nulls().sort(pl.all())
        lent = " and ".join(f"{lender} ({count})" for lender, count in lenders.iter_rows())
        return f"predicted by a calibrated roof{f', transferred from {lent}' if lent else ''}"
    roof = frame.filter("is_default", layer="peak").head(1).to_dicts()
    return f"computed from shapes{f', on the {_basis(roof[0])} roof of {_peak(roof[0])}' if roof else ''}"


def _say_roofs(frame: pl.DataFrame) -> list[str]:
    """Say where each peak comes from: the main one, which is thick where there are several, first."""
    peaks = _ceilings(frame).filter(layer="peak").to_dicts()
    looks = ["thick: ", *["thin: "] * (len(peaks) - 1)] if len(peaks) > 1 else [""]
    said = [f"{look}{_peak(row)}, {_basis(row)} ({row['origin']})" for look, row in zip(looks, peaks, strict=True)]
    return [f"{frame['precision_id'][0]}; {said[0]}", *said[1:]]


def _peak(row: dict[str, Any]) -> str:
    return str(row["label"]).split(" (")[0]


def _basis(row: dict[str, Any]) -> str:
    return str(row["basis"]).replace("_", " ")


def _lines_of_marks(frame: pl.DataFrame, choices: list[str]) -> list[alt.Chart]:
    """Return what is said of each choice of marks, as the last line of the subtitle.

    Vega-Lite's own subtitle cannot change with a choice: this is text right above the plot.
    """
    chosen = "datum.is_main && marks == '{}'" if len(choices) > 1 else "datum.is_main"
    return [
        select_layer("ridge")
        .transform_filter(chosen.format(choice))
        .mark_text(text=f"Marks: {_say_marks(frame, choice)}", baseline="alphabetic", color=GREY, fontSize=12)
        .encode(x=alt.XValue(_WIDTH / 2), y=alt.YValue(-7))
        for choice in choices
    ]


def _ground(left: float, count: int) -> alt.Chart:
    """Return the ground of both legends; it reads one row, and no field of it."""
    ground: alt.Chart = (
        select_layer("ridge")
        .transform_filter("datum.is_main")
        .mark_rect(fill="white", stroke="#cccccc", strokeWidth=0.6)
        .encode(
            x=alt.XValue(left - 4),
            x2=alt.X2Value(_WIDTH - 6),
            y=alt.YValue(_HEIGHT - _ROW * count - 16),
            y2=alt.Y2Value(_HEIGHT - 6),
        )
    )
    return ground


def _fine_grid(low: float, high: float) -> dict[str, Any]:
    steps = [digit * 10.0**exponent for exponent in range(-1, 19) for digit in range(1, 10)]
    values = [step for step in steps if low <= step <= high]
    grid = {"gridColor": "#dcdcdc", "gridWidth": 0.6, "ticks": False}
    return {"values": values, "labelExpr": _LABEL_DECADES, "labelOverlap": False, **grid}


def _legend(symbol: str | None, left: float, count: int) -> alt.Legend:
    """Return a legend inside the plot, with room for `count` rows down to its lower right corner."""
    look: dict[str, Any] = {"symbolStrokeWidth": 1.5} if symbol is None else {"symbolType": symbol}
    return alt.Legend(
        orient="none", legendX=left + _ASIDE, legendY=_HEIGHT - _ROW * count - 14, title=None, symbolSize=_KEY,
        labelOffset=_ASIDE + 4, padding=3, **look,
    )  # fmt: skip
