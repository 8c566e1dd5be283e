"""The roofline in the house style: every ceiling of a device, and points on the roofs that they are held against."""

import math
from typing import Any

import altair as alt
import polars as pl

from charts.axes import INTENSITY, PERFORMANCE, Layer, clip_roofs, select_layer
from charts.ceilings import is_integer, label_ceilings, label_roofs
from charts.channels import tooltip, write_once
from charts.house_text import compose_subtitle, compose_title
from charts.levels import name_level
from charts.roofline import POINTS, RoofLabels, RooflineAxes, draw_labels, draw_ridge
from charts.series import Series, find_series
from charts.style import (
    BLUE,
    GREY,
    INK,
    MEASURED_TOOLTIP,
    ORANGE,
    SKY,
    WIDTH,
    assemble_chart,
)
from charts.summaries import is_profile

_MOST_LABELS = 40  # points: more are told apart by the legend alone
_MANY = 400  # points: more are drawn smaller, with the columns that show
_DRAWN = ["layer", "label", "series", INTENSITY, PERFORMANCE, "kernel", "is_above_roof", "likely_cause"]
_SIZED = ["time_share", "total_s", "headroom_s"]
_MOST_RIDGES = 3  # with their values
_WHOLE = 10  # a ridge above this is given as a whole number
_MOST_TOOLTIPS = 6  # kinds of points, by the fields that they know
_RING = 220  # area of the ring around a point above its roof, in square pixels
_SMALLEST, _LARGEST = 24, 700  # area of a kernel without time and of the one that takes most, in square pixels
_MOST_SIZED_LABELS = 10  # kernels of a profile: those that take most of the time
_WIDEST_LINE = 150  # letters
_DEVICE, _ORIGIN = tooltip("hardware:N", title="device"), [tooltip("basis:N"), tooltip("origin:N")]
_UNITS = [tooltip("dtype:N"), tooltip("pipe:N")]
_BANDWIDTH = tooltip("bandwidth_bytes_per_s:Q", title="bandwidth, B/s", format=".4~s")
_PEAK_TOOLTIP = [_DEVICE, *_UNITS, tooltip(f"{PERFORMANCE}:Q", title="FLOP/s", format=".4~s"), *_ORIGIN]
_BANDWIDTH_TOOLTIP = [_DEVICE, tooltip("level:N"), _BANDWIDTH, *_ORIGIN]
_ROOF_TOOLTIP = [
    _DEVICE,
    *_UNITS,
    tooltip("level:N"),
    tooltip("peak_flops_per_s:Q", title="peak, FLOP/s", format=".4~s"),
    _BANDWIDTH,
    *_ORIGIN,
]
_POINT_TOOLTIP = [
    *MEASURED_TOOLTIP,
    tooltip("dtype:N"),
    tooltip("pipe:N"),
    tooltip("level:N", title="bytes of"),
    tooltip("likely_cause:N", title="above its roof"),
    tooltip("launches:Q"),
    tooltip("total_s:Q", title="time of all launches, s", format=".3~s"),
    tooltip("time_share:Q", title="share of the time", format=".1%"),
    tooltip("headroom_s:Q", title="headroom, s", format=".3~s"),
]


def draw_house(frame: pl.DataFrame) -> alt.LayerChart:
    """Draw the rows of sql/charts/house.sql."""
    points, series = find_series(frame.filter(pl.col("layer").is_in(POINTS)))
    if is_profile(points):  # small marks come last, on top of large ones
        points = points.sort("time_share", descending=True, maintain_order=True)
    lines = frame.filter(~pl.col("layer").is_in([*POINTS, "not drawn"]))
    is_alone = "peak" in lines["layer"]
    lines = label_ceilings(lines) if is_alone else label_roofs(lines).with_columns(series="hardware")
    unit, *titles = _name_axes(points)
    axes = RooflineAxes(pl.concat([lines, points], how="diagonal"), *titles)
    lines = clip_roofs(lines, axes.x_domain, axes.y_domain[0])
    labels = _place_labels(axes, lines, points, unit)
    layers = [
        *(_draw_regions(axes) if _has_regions(lines) else []),
        *_draw_ceilings(axes, series),
        *_draw_points(axes, points, series),
        *draw_labels(axes, BLUE if is_alone else INK),
        *_draw_keys(axes, labels.keys),
    ]
    return assemble_chart(
        layers,
        pl.concat([lines, _order_points(points, series), labels.rows], how="diagonal_relaxed"),
        "Roofline",
        compose_title(frame, points),
        compose_subtitle(frame, points, len(labels.unplaced)),
        widest_line=_WIDEST_LINE,
    )


def _name_axes(points: pl.DataFrame) -> tuple[str, str, str]:
    """Return what work is counted in, and the titles of the axes, which name the level whose bytes are counted."""
    levels, dtypes = points["level"].unique(), points["dtype"].drop_nulls().unique().to_list()
    of = f"{name_level(levels[0])} traffic" if len(levels) == 1 else "each level's traffic"
    of = "DRAM traffic" if levels.is_empty() else of
    integers = [is_integer(dtype) for dtype in dtypes]
    unit, rate = ("op", "op/s") if integers and all(integers) else ("FLOP", "FLOP/s")
    if any(integers) and not all(integers):
        rate = "FLOP/s; integers: op/s"
    return unit, f"Operational intensity ({unit} per byte of {of})", f"Performance ({rate})"


def _place_labels(axes: RooflineAxes, lines: pl.DataFrame, points: pl.DataFrame, unit: str) -> RoofLabels:
    """Place the labels of ceilings, ridges and points: what is placed first has the best place."""
    labels = RoofLabels(axes)
    labels.add_lines(lines)
    if is_profile(points):
        for point in points.head(10 * _MOST_LABELS).iter_slices(1):
            labels.add_points(point, radius=math.sqrt(_find_area(point["time_share"][0], points) / math.pi))
    else:
        labels.add_points(points.head(10 * _MOST_LABELS))
    named_points = _list_named(points)
    ridges = lines.filter(layer="ridge").unique([INTENSITY, PERFORMANCE], maintain_order=True)
    if _has_regions(lines):
        labels.place_regions(ridges[INTENSITY][0])
    named = lines.filter(pl.col("label").str.len_chars() > 0)
    labels.place_slopes(named.filter(layer="bandwidth", vertex=1))
    for row in ridges.head(_MOST_RIDGES).iter_rows(named=True):
        value = row["ridge_flops_per_byte"]
        labels.place_ridge({**row, "label": f"ridge {value:{',.0f' if value >= _WHOLE else '.2g'}} {unit}/byte"})
    labels.place_ends(named.filter(layer="peak", vertex=3))
    labels.place_ends(named.filter(layer="roof", vertex=3))
    if len(named_points) <= _MOST_LABELS:
        labels.place_points(named_points)
    return labels


def _has_regions(lines: pl.DataFrame) -> bool:
    """Return whether all points are held against one roof, so that it parts the chart in two."""
    return len(lines.filter(layer="ridge")) == 1


def _list_named(points: pl.DataFrame) -> pl.DataFrame:
    """Return the points that have a name of their own: not a prediction beside what was measured.

    Of a model's ops in one group, one at a spot has it, and of a kernel at several levels the one furthest right.
    """
    if is_profile(points):
        return points.head(_MOST_SIZED_LABELS)
    kinds = points["layer"]
    named = points.filter(layer="measured") if "measured" in kinds else points
    if named["phase"].count() and named["model"].count():
        return named.unique(["label", "series", INTENSITY, PERFORMANCE], maintain_order=True)
    last = pl.col("kernel").is_null() | (pl.col(INTENSITY) == pl.col(INTENSITY).max().over("kernel"))
    return named.filter(last)


def _draw_regions(axes: RooflineAxes) -> list[alt.Chart]:
    ridge = select_layer("ridge")
    return [
        ridge.mark_rect(color=BLUE, fillOpacity=0.06).encode(axes.x, x2=alt.X2Value(0)),
        ridge.mark_rect(color=ORANGE, fillOpacity=0.06).encode(axes.x, x2=alt.X2Value(WIDTH)),
    ]


def _draw_ceilings(axes: RooflineAxes, series: Series) -> list[alt.Chart]:
    """Return all ceilings, dashed, and on top of them the roofs that points are held against, with their ridges."""
    each = [write_once(alt.Detail(f"{name}:N")) for name in ("hardware", "dtype", "level", "basis", "pipe", "origin")]
    ink = series.encode()[0] if series.title == "device" else alt.ColorValue(BLUE)
    return [
        *(
            select_layer(layer)
            .mark_line(color=SKY, strokeWidth=1.2, strokeDash=[5, 3], aria=False)
            .encode(axes.x, axes.y, detail=[*each, alt.Detail("label:N")], tooltip=tooltip)
            for layer, tooltip in (("bandwidth", _BANDWIDTH_TOOLTIP), ("peak", _PEAK_TOOLTIP))
        ),
        select_layer("roof")
        .mark_line(strokeWidth=2.3)
        .encode(axes.x, axes.y, detail=each, color=ink, tooltip=_ROOF_TOOLTIP),
        draw_ridge(axes),
    ]


def _draw_points(axes: RooflineAxes, points: pl.DataFrame, series: Series) -> list[alt.Chart]:
    """Return computed points (hollow), measured (filled) and predicted ones (dotted), with lines up to the roof."""
    if points.is_empty():
        return []
    is_many = len(points) > _MANY
    colour, shape, size = series.encode(scale=0.25 if is_many else 1)
    tooltips = _list_tooltips(points.select(_list_drawn(points)) if is_many else points)
    common: dict[str, Any] = {"color": colour, "shape": shape}
    kinds = set(points["layer"])
    layers = []
    if points["kernel"].count():
        joined = Layer().transform_filter("isValid(datum.kernel)")
        layers.append(joined.mark_line(color=GREY, strokeWidth=1).encode(axes.x, axes.y, detail=alt.Detail("kernel:N")))
    if "computed" in kinds:
        mark = select_layer("computed").mark_point(strokeWidth=1 if is_many else 2, fill="white", opacity=1)
        layers += [
            _filter(mark, has).encode(axes.x, axes.y, size=size, tooltip=tooltip, **common) for has, tooltip in tooltips
        ]
    measured, predicted = select_layer("measured"), select_layer("predicted")
    if "measured" in kinds and not is_many:
        rule = measured.transform_filter("isValid(datum.attainable_flops_per_s)").mark_rule(strokeWidth=1, opacity=1)
        layers.append(rule.encode(axes.x, axes.y, y2=alt.Y2("attainable_flops_per_s:Q"), color=colour))
    if "predicted" in kinds:
        mark = predicted.mark_point(strokeWidth=1.6, strokeDash=[2, 2], filled=False, opacity=1, size=220)
        layers += [_filter(mark, has).encode(axes.x, axes.y, tooltip=tooltip, **common) for has, tooltip in tooltips]
    if "measured" in kinds:
        has_sizes = is_profile(points)
        mark = measured.mark_point(filled=True, opacity=0.8 if has_sizes else 1, size=15 if is_many else 60)
        sized: dict[str, Any] = {**common, "size": _scale_areas(points)} if has_sizes else common
        layers += [_filter(mark, has).encode(axes.x, axes.y, tooltip=tooltip, **sized) for has, tooltip in tooltips]
    if points["is_above_roof"].any():
        above = Layer().transform_filter("datum.is_above_roof")
        ring = above.mark_point(shape="circle", filled=False, size=_RING, strokeWidth=1.3, color=INK, opacity=1)
        layers += [_filter(ring, has).encode(axes.x, axes.y, tooltip=tooltip) for has, tooltip in tooltips]
    return layers


def _find_area(share: float, points: pl.DataFrame) -> float:
    """Return the area of the mark of a kernel, in square pixels, by its share of the time."""
    return _SMALLEST + (_LARGEST - _SMALLEST) * share / _find_largest_share(points)


def _scale_areas(points: pl.DataFrame) -> alt.Size:
    """Return the channel that gives a kernel of a profile an area by its share of the time."""
    domain = [0, _find_largest_share(points)]
    scale = alt.Scale(type="linear", domain=domain, range=[_SMALLEST, _LARGEST])
    return alt.Size("time_share:Q", scale=scale, legend=None)


def _find_largest_share(points: pl.DataFrame) -> float:
    shares: list[float] = points["time_share"].to_list()
    return max(shares)


def _draw_keys(axes: RooflineAxes, keys: list[str]) -> list[alt.Chart]:
    """Return a legend of the points that have a number in place of a name."""
    if not keys:
        return []
    look: Any = {"symbolSize": 0, "symbolOpacity": 0, "symbolLimit": 0, "labelLimit": 380}
    legend = alt.Legend(title="points", orient="bottom", direction="vertical", columns=2, **look)
    scale = alt.Scale(type="ordinal", domain=keys, range=[1] * len(keys))
    key = alt.Opacity("key:N", scale=scale, sort="ascending", legend=legend)
    return [select_layer("key").mark_point().encode(axes.x, axes.y, opacity=key)]


def _list_tooltips(points: pl.DataFrame) -> list[tuple[str, list[alt.Tooltip]]]:
    """Return the tooltip of points that know the same fields, and the test for them: Vega would write "undefined".

    If there are many kinds of points, the tooltip is of what all of them know.
    """
    fields = {str(each.shorthand).partition(":")[0]: each for each in _POINT_TOOLTIP}
    counts = {name: points[name].count() for name in fields if name in points.columns}
    varying = [name for name, count in counts.items() if 0 < count < len(points)]
    kinds = points.select(pl.col(varying).is_not_null()).unique(maintain_order=True).rows() if varying else [()]
    if len(kinds) > _MOST_TOOLTIPS:
        varying, kinds = [], [()]
    tooltips = []
    for kind in kinds:
        has = dict(zip(varying, kind, strict=True))
        test = " && ".join(f"{'' if known else '!'}isValid(datum.{name})" for name, known in has.items())
        shown = [each for name, each in fields.items() if has.get(name, counts.get(name) == len(points))]
        tooltips.append((test, shown))
    return tooltips


def _filter(mark: alt.Chart, test: str) -> alt.Chart:
    """Return a layer of the rows that meet a test; all of them if there is none."""
    return mark.transform_filter(test) if test else mark


def _order_points(points: pl.DataFrame, series: Series) -> pl.DataFrame:
    """Return points in the order of the legend, so that later series are on top; of very many, what is drawn."""
    turns = {value: turn for turn, value in enumerate(series.styles)}
    ordered = points.sort(pl.col("series").replace_strict(turns, return_dtype=pl.Int64), maintain_order=True)
    ordered = ordered.sort("time_share", descending=True, maintain_order=True) if is_profile(points) else ordered
    return ordered.select(_list_drawn(points)) if len(points) > _MANY else ordered


def _list_drawn(points: pl.DataFrame) -> list[str]:
    """Return the columns that show if there are many points."""
    return [*_DRAWN, *(_SIZED if is_profile(points) else ())]
