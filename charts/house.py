"""The house style: labels where the lines are, shapes beside colours, the finding as the title."""

import math

import altair as alt
import polars as pl

from charts.axes import (
    BLUE, GREEN, GREY, INK, INTENSITY, ORANGE, PALE, PERFORMANCE, PURPLE, SKY, TOOLTIP, VERMILION,
    cut, layer_is, spread, styled, x_axis, y_axis,
)  # fmt: skip

_WIDTH, _HEIGHT = 620, 400
_LABEL_GAP = 15  # pixels between two labels at the right
_X, _Y = "Operational intensity (FLOP per byte of DRAM traffic)", "Performance (FLOP/s)"
_PHASES = {"prefill": (VERMILION, "circle"), "decode": (GREEN, "triangle-up")}
_ROOF_COLOURS = [BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK, GREY]
_DASHES = [[1, 0], [8, 3], [3, 2], [8, 3, 2, 3]]


def house(frame: pl.DataFrame) -> alt.LayerChart:
    """Return the roofline of one device, from the rows of sql/charts/house.sql."""
    hardware, model, precision = frame.select("hardware", "model", "precision_id").row(0)
    points = frame.filter(layer="computed")
    x_domain, y_domain = _domain(frame)
    x, y = x_axis(x_domain, _X, gridColor=PALE), y_axis(y_domain, _Y, gridColor=PALE)
    labels = [_ceiling_labels(frame, y_domain), _point_labels(points, frame)]
    ceilings = _ceilings(x, y, frame)
    frame = pl.concat([cut(frame, x_domain), *labels], how="diagonal")

    ridge = alt.Chart().transform_filter(layer_is("ridge"))
    region = {"fillOpacity": 0.06}
    name = {"fontStyle": "italic", "color": GREY, "fontSize": 12}
    layers = [
        ridge.mark_rect(color=BLUE, **region).encode(x, x2=alt.X2Value(0)),
        ridge.mark_rect(color=ORANGE, **region).encode(x, x2=alt.X2Value(_WIDTH)),
        ridge.mark_text(text="memory-bound", align="right", dx=-10, **name).encode(x, y=alt.YValue(14)),
        ridge.mark_text(text="compute-bound", align="left", dx=10, **name).encode(x, y=alt.YValue(14)),
        *ceilings,
        ridge.mark_point(shape="diamond", filled=True, size=90, color=INK, opacity=1).encode(x, y),
        ridge.mark_text(align="left", dx=9, dy=14, color=INK, fontSize=12).encode(x, y, text="label:N"),
        alt.Chart()
        .mark_point(size=70, strokeWidth=2, fill="white", opacity=1)
        .encode(
            x,
            y,
            color=_phase(alt.Color, 0, legend=alt.Legend(title="phase", orient="bottom", direction="horizontal")),
            shape=_phase(alt.Shape, 1),
            tooltip=TOOLTIP,
        )
        .transform_filter(layer_is("computed")),
        alt.Chart()
        .mark_text(align="left", baseline="top", dx=9, dy=5, fontSize=11, lineBreak="\n", color=INK)
        .encode(x, y, text="label:N")
        .transform_filter(layer_is("point label")),
    ]
    roof = frame.filter(layer="ridge").row(0, named=True)
    origin = frame.filter(layer="peak").filter("is_main")["origin"][0]
    batch, sequence = points.select("batch_size", "sequence_length").row(0) if len(points) else (0, 0)
    what = f"{model} in {precision}, batch {batch}, sequence {sequence}, computed from shapes"
    subtitle = [what, f"Solid: the {roof['dtype']} roof, basis {roof['basis']} ({origin}); dashed: other dtypes"]
    return _finished(layers, frame, f"{hardware}: {_finding(points)}", subtitle)


def comparison(frame: pl.DataFrame) -> alt.LayerChart:
    """Return the roofs of several devices, from the rows of sql/charts/comparison.sql."""
    devices = frame["hardware"].unique(maintain_order=True).to_list()
    ridges = frame.filter(vertex=2).sort(INTENSITY)
    low, high = ridges.row(0, named=True), ridges.row(-1, named=True)
    x_domain, y_domain = _domain(frame)
    x, y = x_axis(x_domain, _X, gridColor=PALE), y_axis(y_domain, _Y, gridColor=PALE)
    frame = pl.concat([cut(frame, x_domain), _end_labels(frame, y_domain)], how="diagonal")

    count = len(devices)
    colours = [_ROOF_COLOURS[i % len(_ROOF_COLOURS)] for i in range(count)]
    dashes = [_DASHES[(i // 2) % len(_DASHES)] for i in range(count)]
    chosen = alt.selection_point(fields=["hardware"], bind="legend", name="device")
    colour = alt.Color(
        "hardware:N",
        scale=alt.Scale(domain=devices, range=colours),
        legend=alt.Legend(
            title="click to isolate", orient="bottom", columns=5, symbolType="stroke", symbolStrokeWidth=3
        ),
    )
    faded = alt.condition(chosen, alt.value(1), alt.value(0.12))
    tooltip = [
        alt.Tooltip("hardware:N", title="device"),
        alt.Tooltip("basis:N"),
        alt.Tooltip("peak_flops_per_s:Q", title="peak, FLOP/s", format=".4~s"),
        alt.Tooltip("bandwidth_bytes_per_s:Q", title="bandwidth, B/s", format=".4~s"),
        alt.Tooltip("ridge_flops_per_byte:Q", title="ridge, FLOP/byte", format=".4~g"),
        alt.Tooltip("origin:N"),
    ]
    roof = alt.Chart().transform_filter(layer_is("roof"))
    layers = [
        roof.mark_line(strokeWidth=2)
        .encode(
            x,
            y,
            color=colour,
            strokeDash=alt.StrokeDash("hardware:N", scale=alt.Scale(domain=devices, range=dashes), legend=None),
            opacity=faded,
        )
        .add_params(chosen),
        roof.transform_filter("datum.vertex == 2")
        .mark_point(shape="diamond", filled=True, size=70)
        .encode(x, y, color=colour, opacity=faded, tooltip=tooltip),
        alt.Chart()
        .mark_text(align="left", dx=8, fontSize=11, color=INK)
        .encode(y, x=alt.XValue(_WIDTH), text="label:N", opacity=faded)
        .transform_filter(layer_is("ceiling label")),
    ]
    dtype = frame["dtype"][0]
    title = (
        f"{dtype} ridges run from {low[INTENSITY]:.0f} FLOP/byte ({low['hardware']}) "
        f"to {high[INTENSITY]:.0f} ({high['hardware']})"
        if len(devices) > 1
        else f"{low['hardware']}: {dtype} ridge at {low[INTENSITY]:.0f} FLOP/byte"
    )
    bases = ", ".join(sorted(frame["basis"].drop_nulls().unique()))
    return _finished(layers, frame, title, [f"Default {dtype} roofs, dense peaks over DRAM bandwidth, basis {bases}"])


def speculative(frame: pl.DataFrame) -> alt.LayerChart:
    """Return op groups by number of candidate tokens, from the rows of sql/charts/speculative.sql."""
    hardware, model, precision = frame.select("hardware", "model", "precision_id").row(0)
    points = frame.filter(layer="computed")
    x_domain, y_domain = _domain(frame)
    x, y = x_axis(x_domain, _X, gridColor=PALE), y_axis(y_domain, _Y, gridColor=PALE)
    frame = pl.concat([cut(frame, x_domain), _candidate_labels(points, frame)], how="diagonal")

    groups = points["op_group"].unique().sort().to_list()
    colours = [BLUE, VERMILION, GREEN, PURPLE][: len(groups)]
    shapes = ["circle", "square", "triangle-up", "diamond"][: len(groups)]
    legend = alt.Legend(title="op group", orient="bottom", direction="horizontal")
    ridge = alt.Chart().transform_filter(layer_is("ridge"))
    candidates = alt.Chart().transform_filter(layer_is("point label"))
    layers = [
        alt.Chart().mark_line(color=INK, strokeWidth=1.5).encode(x, y).transform_filter(layer_is("roof")),
        ridge.mark_point(shape="diamond", filled=True, size=90, color=INK, opacity=1).encode(x, y),
        ridge.mark_text(align="left", dx=9, dy=14, color=INK, fontSize=12).encode(x, y, text="label:N"),
        alt.Chart()
        .mark_point(size=60, strokeWidth=2, fill="white", opacity=1)
        .encode(
            x,
            y,
            color=alt.Color("label:N", scale=alt.Scale(domain=groups, range=colours), legend=legend),
            shape=alt.Shape("label:N", scale=alt.Scale(domain=groups, range=shapes)),
            tooltip=TOOLTIP,
        )
        .transform_filter(layer_is("computed")),
        candidates.transform_filter("datum.bound == 'memory'")
        .mark_text(align="right", baseline="bottom", dx=-6, dy=-4, fontSize=11, color=INK)
        .encode(x, y, text="label:N"),
        candidates.transform_filter("datum.bound == 'compute'")
        .mark_text(align="center", baseline="bottom", dy=-8, fontSize=11, color=INK)
        .encode(x, y, text="label:N"),
    ]
    origin, basis, roof = frame.filter(layer="roof").select("origin", "basis", "label").row(0)
    batch, context = points.select("batch_size", "sequence_length").row(0) if len(points) else (0, 0)
    subtitle = [
        f"{model} on {hardware}, {precision}, batch {batch}, context {context}, computed from shapes; "
        "numbers: candidate tokens (1 is plain decode)",
        f"Roof: {roof}, basis {basis} ({origin})",
    ]
    return _finished(layers, frame, _speculative_finding(points), subtitle)


def _finished(layers: list[alt.Chart], frame: pl.DataFrame, title: str, subtitle: list[str]) -> alt.LayerChart:
    description = f"Roofline. {title}. {' '.join(subtitle)}."
    chart = alt.layer(*layers).properties(
        title=alt.TitleParams(title, subtitle=subtitle), width=_WIDTH, height=_HEIGHT, description=description
    )
    return styled(chart, frame)


def _ceilings(x: alt.X, y: alt.Y, frame: pl.DataFrame) -> list[alt.Chart]:
    main, peak = alt.datum.is_main, alt.Chart().transform_filter(layer_is("peak"))
    across, up = _pixels(frame)
    slope = {"angle": 360 - math.degrees(math.atan2(up, across)), "align": "left", "dx": 14, "dy": -9}
    return [
        alt.Chart().mark_line(color=BLUE, strokeWidth=2.5).encode(x, y).transform_filter(layer_is("bandwidth")),
        peak.transform_filter(main).mark_line(color=BLUE, strokeWidth=2.5).encode(x, y, detail="label:N"),
        peak.transform_filter(~main)
        .mark_line(color=SKY, strokeWidth=1.3, strokeDash=[5, 3])
        .encode(x, y, detail="label:N"),
        alt.Chart()
        .mark_text(color=BLUE, fontSize=12, **slope)
        .encode(x, y, text="label:N")
        .transform_filter(layer_is("slope label")),
        alt.Chart()
        .mark_text(align="left", dx=8, color=BLUE, fontSize=12)
        .encode(
            y, x=alt.XValue(_WIDTH), text="label:N", opacity=alt.condition(main, alt.value(1), alt.value(0.75))
        )
        .transform_filter(layer_is("ceiling label")),
    ]


def _phase(channel: type[alt.Color] | type[alt.Shape], place: int, **more: object) -> alt.Color | alt.Shape:
    range_ = [style[place] for style in _PHASES.values()]
    return channel("phase:N", scale=alt.Scale(domain=list(_PHASES), range=range_), **more)


def _domain(frame: pl.DataFrame) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the x and y ranges that hold every point, ridge and roof, with room around them."""
    inside = frame.filter(pl.col(INTENSITY).is_between(1e-2, 1e5))
    xs, ys = inside[INTENSITY], frame.filter(pl.col(INTENSITY) > 1e-2)[PERFORMANCE]
    left, right = min(_low(xs) / 1.6, 0.6), _high(xs) * 5
    slope = frame.filter(pl.col(INTENSITY) < 1e-2)
    bottom = _low(slope[PERFORMANCE] / slope[INTENSITY]) * left * 0.8
    return (left, right), (bottom, _high(ys) * 2.5)


def _low(values: pl.Series) -> float:
    return float(values.min())  # type: ignore[arg-type]


def _high(values: pl.Series) -> float:
    return float(values.max())  # type: ignore[arg-type]


def _ceiling_labels(frame: pl.DataFrame, y_domain: tuple[float, float]) -> pl.DataFrame:
    slope = frame.filter(pl.col("layer") == "bandwidth").sort(INTENSITY).head(1)
    bandwidth = _low(slope[PERFORMANCE] / slope[INTENSITY])
    start = y_domain[0] * 2.2
    at = slope.with_columns(
        layer=pl.lit("slope label"),
        **{INTENSITY: pl.lit(start / bandwidth), PERFORMANCE: pl.lit(start)},
    )
    peaks = frame.filter(layer="peak").unique("label", maintain_order=True)
    return pl.concat([at, _moved_apart(peaks, y_domain)])


def _end_labels(frame: pl.DataFrame, y_domain: tuple[float, float]) -> pl.DataFrame:
    return _moved_apart(frame.filter(vertex=3), y_domain)


def _moved_apart(labels: pl.DataFrame, y_domain: tuple[float, float]) -> pl.DataFrame:
    labels = labels.sort(PERFORMANCE, "label")
    gap = _LABEL_GAP / _HEIGHT * math.log10(y_domain[1] / y_domain[0])
    places = spread(labels[PERFORMANCE].log10().to_list(), gap)
    return labels.with_columns(
        layer=pl.lit("ceiling label"), **{PERFORMANCE: 10 ** pl.Series(places, dtype=pl.Float64)}
    )


def _point_labels(points: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """Return one label for all points whose own labels would lie on one another."""
    across, up = _pixels(frame)
    ordered = points.sort(INTENSITY)
    crowded = (pl.col("x").diff() < 90) & (pl.col("y").diff().abs() < 30)
    return (
        ordered.with_columns(x=pl.col(INTENSITY).log10() * across, y=pl.col(PERFORMANCE).log10() * up)
        .with_columns(cluster=(~crowded.fill_null(value=False)).cum_sum())
        .group_by("cluster", maintain_order=True)
        .agg(pl.col("label").unique().sort().str.join("\n"), pl.col(INTENSITY, PERFORMANCE).last())
        .select("label", INTENSITY, PERFORMANCE, layer=pl.lit("point label"))
    )


def _candidate_labels(points: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the number of candidates beside each point, where it has room."""
    across, up = _pixels(frame)
    kept: list[dict[str, object]] = []
    for _, group in points.sort("query_length", descending=True).group_by("op_group", maintain_order=True):
        last = (math.inf, math.inf)
        for row in group.iter_rows(named=True):
            at = (math.log10(row[INTENSITY]) * across, math.log10(row[PERFORMANCE]) * up)
            if math.dist(at, last) > 24:
                kept.append({"label": str(row["query_length"]), **{name: row[name] for name in (INTENSITY, PERFORMANCE, "bound")}})
                last = at
    return pl.DataFrame(kept).with_columns(layer=pl.lit("point label"))


def _pixels(frame: pl.DataFrame) -> tuple[float, float]:
    """Return the width and the height of a decade in pixels."""
    (left, right), (bottom, top) = _domain(frame)
    return _WIDTH / math.log10(right / left), _HEIGHT / math.log10(top / bottom)


def _finding(points: pl.DataFrame) -> str:
    """Say of each phase what bounds it, from the points' own column."""
    sentences = []
    for phase in _PHASES:
        groups = points.filter(phase=phase).select("op_group", "bound").unique().sort("op_group")
        bounds = groups.group_by("bound").agg("op_group").sort(pl.col("op_group").list.len(), descending=True)
        if bounds.is_empty():
            continue
        sentence = f"{phase} is {bounds['bound'][0]}-bound"
        if len(bounds) > 1:
            sentence += f" except {' and '.join(bounds['op_group'][1])}"
        sentences.append(sentence)
    return "; ".join(sentences) or "roofs by dtype"


def _speculative_finding(points: pl.DataFrame) -> str:
    sentences = []
    for group in sorted(points["op_group"].unique()):
        bound = points.filter(op_group=group, bound="compute")
        least, most = bound["query_length"].min(), points["query_length"].max()
        sentences.append(
            f"{group} stays memory-bound through {most} candidates"
            if least is None
            else f"{group} turns compute-bound at {least}"
        )
    return "; ".join(sentences)
