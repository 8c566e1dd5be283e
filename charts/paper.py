"""The roofline as the Medusa paper draws it (Cai et al. 2024, arXiv 2401.10774, figures 9 to 17)."""

from typing import Any

import altair as alt
import polars as pl

from charts.axes import (
    CROSS,
    INTENSITY,
    LABEL,
    MEASURED_TOOLTIP,
    PERFORMANCE,
    TOOLTIP,
    Layer,
    cut,
    rows,
    styled,
    x_axis,
    y_axis,
)

# Computed points of several series lie on one spot: each later series is drawn smaller, on top.
SERIES = {
    "qkv mlp init": ("#1f77b4", 90),
    "qkv mlp ar": ("#ff7f0e", 90),
    "up/gate/down init": ("#2ca02c", 45),
    "up/gate/down ar": ("#d62728", 45),
    "qk/pv init": ("#9467bd", 20),
    "qk/pv ar": ("#8c564b", 20),
}
_RIDGE = "#008000"
_WIDTH, _HEIGHT = 640, 400
_INTENSITIES = (0.6, 1e4)
_DASHED, _DOTTED = [6, 4], [2, 3]
# colour and dash of a ceiling, by its layer and whether points are held against it
_LINES = {
    ("bandwidth", True): ("#0000ff", _DASHED),
    ("bandwidth", False): ("#000080", _DOTTED),
    ("peak", True): ("#ff0000", _DASHED),
    ("peak", False): ("#a00000", _DOTTED),
}
_LABEL_DECADES = "pow(10, round(log(datum.value) / LN10)) == datum.value ? format(datum.value, '~s') : ''"


def paper(frame: pl.DataFrame) -> alt.LayerChart:
    """Return the chart of the rows of sql/charts/paper.sql."""
    model, hardware, precision = frame.select("model", "hardware", "precision_id").row(0)
    peaks = (
        frame.filter(layer="peak")
        .unique("label", maintain_order=True)
        .sort("is_default", PERFORMANCE, descending=[False, True])
    )
    slopes = frame.filter(layer="bandwidth").unique("label", maintain_order=True).sort("is_default", descending=True)
    ceilings = pl.concat([slopes, peaks])
    labels = ceilings["label"].to_list()
    styles = [_LINES[layer, default] for layer, default in ceilings.select("layer", "is_default").iter_rows()]
    widest = max(len(label) for label in [*labels, *SERIES])
    domain = (1e10, 2.5 * max(peaks[PERFORMANCE].to_list()))
    x = x_axis(_INTENSITIES, "Operational Intensity (FLOP/Byte)", **_fine_grid(*_INTENSITIES))
    y = y_axis(domain, "Performance (FLOP/s)", **_fine_grid(*domain))

    lines = (
        Layer()
        .mark_line(strokeWidth=1.6)
        .encode(
            x,
            y,
            color=alt.Color(
                "label:N",
                scale=alt.Scale(domain=labels, range=[colour for colour, _ in styles]),
                legend=_legend("stroke", labels, len(SERIES), widest),
            ),
            strokeDash=alt.StrokeDash(
                "label:N",
                scale=alt.Scale(domain=labels, range=[dash for _, dash in styles]),
            ),
        )
        .transform_filter("datum.layer == 'bandwidth' || datum.layer == 'peak'")
    )
    ridges = (
        rows("ridge")
        .mark_rule(color=_RIDGE)
        .encode(
            x,
            strokeDash=alt.StrokeDashValue(_DOTTED, condition={"test": "datum.is_default", "value": _DASHED}),
            tooltip=[alt.Tooltip("label:N", title="ridge"), alt.Tooltip("basis:N")],
        )
    )
    # the lowest of several ridges is labelled on its left, out of the way of the others
    lowest = frame.filter(layer="ridge").sort(INTENSITY)["label"][0] if len(peaks) > 1 else None
    sides: list[tuple[str, Any, int]] = [("==", "right", -5), ("!=", "left", 5)]
    ridge_labels = [
        rows("ridge")
        .transform_filter(f"datum.label {comparison} '{lowest}'")
        .mark_text(align=align, dx=dx, color=_RIDGE)
        .encode(x, y=alt.YValue(200), text=LABEL)
        for comparison, align, dx in sides
    ]
    marks = next((layer for layer in ("measured", "predicted") if layer in frame["layer"]), "computed")
    points = (
        rows(marks)
        .mark_point(shape=CROSS, strokeWidth=1.4, filled=False, opacity=1)
        .encode(
            x,
            y,
            color=alt.Color(
                "label:N",
                scale=alt.Scale(domain=list(SERIES), range=[colour for colour, _ in SERIES.values()]),
                legend=_legend(CROSS, list(SERIES), 0, widest),
            ),
            size=alt.Size(
                "label:N",
                scale=alt.Scale(type="ordinal", domain=list(SERIES), range=[size for _, size in SERIES.values()]),
                legend=None,
            ),
            tooltip=TOOLTIP if marks == "computed" else MEASURED_TOOLTIP,
        )
    )
    # the ground of both legends; it reads one row, and no field of it
    ground = (
        rows("ridge")
        .transform_filter("datum.is_default")
        .mark_rect(fill="white", stroke="#cccccc", strokeWidth=0.6)
        .encode(
            x=alt.XValue(_legend_left(widest) - 4),
            x2=alt.X2Value(_WIDTH - 6),
            y=alt.YValue(_HEIGHT - 14 * (len(labels) + len(SERIES)) - 16),
            y2=alt.Y2Value(_HEIGHT - 6),
        )
    )
    layers = [lines, ridges, *ridge_labels, ground, points]
    if not frame.filter(layer="reference").is_empty():
        reference = rows("reference")
        layers.append(reference.mark_rule(color=_RIDGE, strokeWidth=0.8, strokeDash=_DASHED).encode(y))
        layers.append(
            reference.mark_text(align="left", baseline="bottom", dx=4, dy=-2, color=_RIDGE).encode(
                y, x=alt.XValue(0), text=LABEL
            )
        )
    order = pl.col("label").replace_strict(list(SERIES), range(len(SERIES)), default=-1)
    chart = alt.layer(*layers).resolve_scale(color="independent", strokeDash="independent")
    title = f"Roofline Model ({model}, {hardware})"
    subtitle = _subtitle(frame.filter(layer=marks), marks, precision, _roof_of(peaks))
    return styled(
        chart,
        cut(frame.sort(order, maintain_order=True), _INTENSITIES),
        title=alt.TitleParams(title, subtitle=subtitle, anchor="middle"),
        width=_WIDTH,
        height=_HEIGHT,
        description=f"{title}: performance over operational intensity on logarithmic axes. "
        f"Roofs: {', '.join(labels)}. Marks: {', '.join(SERIES)}, {subtitle.removeprefix('× ')}.",
    )


def _subtitle(points: pl.DataFrame, marks: str, precision: str, roof: str) -> str:
    if marks == "measured":
        return f"× measured, {precision}: {points['source'][0].split(', cuda-event')[0]}; {roof}"
    if marks == "predicted":
        lenders = points["transferred_from"].drop_nulls().unique().sort().to_list()
        lent = f", transferred from {' and '.join(lenders)}" if lenders else ""
        return f"× predicted by a calibrated roof{lent}, {precision}; {roof}"
    return f"× computed from shapes, {precision}, on the {roof}"


def _roof_of(peaks: pl.DataFrame) -> str:
    used = peaks.filter("is_default").row(0, named=True)
    return f"{used['basis'].replace('_', ' ')} roof of {used['label'].split(' (')[0]} ({used['origin']})"


def _fine_grid(low: float, high: float) -> dict[str, Any]:
    steps = [digit * 10.0**exponent for exponent in range(-1, 19) for digit in range(1, 10)]
    values = [step for step in steps if low <= step <= high]
    grid = {"gridColor": "#dcdcdc", "gridWidth": 0.6, "ticks": False}
    return {"values": values, "labelExpr": _LABEL_DECADES, "labelOverlap": False, **grid}


def _legend(symbol: str, labels: list[str], below: int, widest: int) -> alt.Legend:
    """Return a legend at the lower right inside the plot, above one of `below` rows."""
    rows = len(labels) + below
    return alt.Legend(
        orient="none",
        legendX=_legend_left(widest),
        legendY=_HEIGHT - 14 * rows - 14,
        title=None,
        symbolType=symbol,
        symbolStrokeWidth=1.6,
        symbolSize=70,
        padding=3,
    )


def _legend_left(widest: int) -> float:
    return _WIDTH - 6.4 * widest - 30
