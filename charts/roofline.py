"""What rooflines in the house style share: axes that hold everything, and labels at what they name."""

import math
from collections.abc import Iterable
from itertools import pairwise, product
from typing import Any

import altair as alt
import polars as pl

from charts.axes import INTENSITY, PERFORMANCE, ROOF_START, ROOF_STOP, Domain, select_layer, x_axis, y_axis
from charts.label_layout import (
    LINE_HEIGHT,
    Layout,
    box_of_text,
    boxes_along,
    measure_text,
    shorten_text,
    spread_between,
)
from charts.style import GREY, HALO, HEIGHT, INK, LABEL, WIDTH

POINTS = ("computed", "measured", "predicted")
_INTENSITY_TITLE = "Operational intensity (FLOP per byte of DRAM traffic)"
_ENDS = 12  # size of a label at the end of a line, in pixels, ...
_WIDEST_END = 350  # ... how wide it can be, ...
_MOST_ENDS = HEIGHT // LINE_HEIGHT  # ... and how many there is room for
_LEADER = 14  # pixels from the plot to such a label
_NAME = 11  # size of the label of a point
_WIDEST_NAME = 170
_WIDEST_KEY = 350  # of a name in the legend
_NEAR = 9  # pixels from a point to its label
_SAME = 5  # pixels: points that are closer than this share a label
_MOST_LINES = 5  # of such a label
_LINE_KEY = ("layer", "hardware", "dtype", "level", "basis", "pipe", "label")
_SIDES = (10, -10, 14, -14)  # pixels from a slope to the middle of its label; upwards first
_CLEAR, _OFF = 7, 12  # pixels from the middle of such a label to another slope, and to a mark


class RooflineAxes:
    """The axes of a chart: ranges that hold every point, ridge and roof, with some room around them."""

    def __init__(
        self, frame: pl.DataFrame, x_title: str = _INTENSITY_TITLE, y_title: str = "Performance (FLOP/s)"
    ) -> None:
        points = frame.filter(pl.col("layer").is_in(POINTS))
        slopes = frame.filter(pl.col("layer").is_in(["bandwidth", "roof"]), pl.col(INTENSITY) <= ROOF_START)
        bends = frame.filter(
            pl.col("layer").is_in(["bandwidth", "roof"]), pl.col(INTENSITY).is_between(ROOF_START, ROOF_STOP, "none")
        )
        flats = frame.filter(pl.col("layer").is_in(["peak", "roof"]), pl.col(INTENSITY) >= ROOF_STOP)
        intensities = [*points[INTENSITY], *bends[INTENSITY]]
        left = min([0.6, *(each / 1.6 for each in points[INTENSITY]), *(each / 3 for each in bends[INTENSITY])])
        self.x_domain: Domain = (left, 5 * max(intensities, default=100))
        main = slopes.filter(layer="roof") if "roof" in slopes["layer"] else slopes
        starts = (main[PERFORMANCE] / main[INTENSITY] * left).to_list()
        # measured points can lie far below every roof
        lowest = [*starts, *(0.6 * each for each in points[PERFORMANCE]), *flats[PERFORMANCE]]
        self.y_domain: Domain = (0.8 * min(lowest), 2.5 * max([*points[PERFORMANCE], *flats[PERFORMANCE]]))
        self.x = x_axis(self.x_domain, x_title)
        self.y = y_axis(self.y_domain, y_title)

    @property
    def decade_width(self) -> float:
        """Pixels per decade of intensity."""
        return WIDTH / math.log10(self.x_domain[1] / self.x_domain[0])

    @property
    def decade_height(self) -> float:
        """Pixels per decade of performance."""
        return HEIGHT / math.log10(self.y_domain[1] / self.y_domain[0])

    @property
    def slope(self) -> float:
        """Angle of a bandwidth ceiling, in radians."""
        return math.atan2(self.decade_height, self.decade_width)

    def to_pixels(self, intensity: float, performance: float) -> tuple[float, float]:
        """Return the place of a point in the plot: pixels from its upper left corner."""
        x = self.decade_width * math.log10(intensity / self.x_domain[0])
        return x, HEIGHT - self.decade_height * math.log10(performance / self.y_domain[0])

    def to_values(self, x: float, y: float) -> dict[str, float]:
        """Return intensity and performance at a place in the plot."""
        return {
            INTENSITY: self.x_domain[0] * 10 ** (x / self.decade_width),
            PERFORMANCE: self.y_domain[0] * 10 ** ((HEIGHT - y) / self.decade_height),
        }


class RoofLabels:
    """The labels of a roofline, as rows of its layers: each at what it names, and none on another.

    Attributes
    ----------
    unplaced
        Labels of ceilings and slopes that there was no room for.
    keys
        Names of points that there was no room for: each has a number at its point instead.
    """

    def __init__(self, axes: RooflineAxes) -> None:
        self.unplaced: list[str] = []
        self.keys: list[str] = []
        self._axes = axes
        self._layout = Layout(WIDTH, HEIGHT)
        self._slopes: list[float] = []  # distances of the slopes from the upper left corner, across them
        self._points: list[tuple[float, float, float]] = []
        self._rows: list[dict[str, Any]] = []

    @property
    def rows(self) -> pl.DataFrame:
        """One row per label or leader line."""
        schema = {"layer": pl.String, "label": pl.String, INTENSITY: pl.Float64, PERFORMANCE: pl.Float64}
        ends = {"end_flops_per_byte": pl.Float64, "end_flops_per_s": pl.Float64}
        more = {**ends, "is_main": pl.Boolean, "hardware": pl.String, "line_flops_per_s": pl.Float64}
        return pl.DataFrame(self._rows, {**schema, **more})

    def add_lines(self, frame: pl.DataFrame) -> None:
        """Keep labels off ceilings that are clipped to the plot."""
        lines = frame.filter(pl.col("layer").is_in(["bandwidth", "peak", "roof"])).sort("vertex")
        keys = [name for name in _LINE_KEY if name in lines.columns]
        for layer, line in lines.group_by(keys, maintain_order=True):
            places = [self._axes.to_pixels(*row) for row in line.select(INTENSITY, PERFORMANCE).iter_rows()]
            for start, end in pairwise(places):
                self._layout.add_line(*start, *end)
            if layer[0] == "bandwidth":
                self._slopes.append(self._measure_across(*places[0]))

    def add_points(self, points: pl.DataFrame, radius: float = 6) -> None:
        """Keep labels off points."""
        for row in points.select(INTENSITY, PERFORMANCE).unique(maintain_order=True).iter_rows():
            self._points.append((*self._axes.to_pixels(*row), radius))
            self._layout.add_mark(*self._points[-1])

    def place_regions(self, ridge: float) -> None:
        """Name the memory-bound and the compute-bound region at the top, either side of a ridge."""
        x, _ = self._axes.to_pixels(ridge, 1)
        for text, side, align in (("memory-bound", -10, "right"), ("compute-bound", 10, "left")):
            box = box_of_text(x + side, 14, text, _ENDS, align)
            if self._layout.place([box]):
                self._add("region label", text, box.left, 14)

    def place_ridge(self, row: dict[str, Any]) -> None:
        """Write the value of a ridge beside it."""
        x, y = self._axes.to_pixels(row[INTENSITY], row[PERFORMANCE])
        self._layout.add_mark(x, y, 6)
        self._place_name(x, y, row["label"])

    def place_slopes(self, slopes: pl.DataFrame) -> None:
        """Write the bandwidth along each slope, beside it where there is room: one row per slope, at its left end."""
        for row in slopes.sort(~pl.col("is_main"), PERFORMANCE, descending=[False, True]).iter_rows(named=True):
            if not any(self._place_slope(row, is_strict=is_strict) for is_strict in (True, False)):
                self.unplaced.append(row["label"])

    def place_ends(self, ceilings: pl.DataFrame) -> None:
        """Write labels right of the plot: one row per ceiling, with the measured ones that it names `beside`."""
        ranked = ceilings.sort(~pl.col("is_main"), PERFORMANCE, "label", descending=[False, True, False])
        self.unplaced += ranked[_MOST_ENDS:]["label"].to_list()
        shown = ranked.head(_MOST_ENDS).sort(PERFORMANCE, "label", descending=[True, False])
        heights = [self._axes.to_pixels(1, each)[1] for each in shown[PERFORMANCE]]
        half = LINE_HEIGHT / 2
        places = spread_between(heights, LINE_HEIGHT, half, HEIGHT - half)
        for row, y in zip(shown.iter_rows(named=True), places, strict=True):
            at = self._axes.to_values(0, y)[PERFORMANCE]
            text = shorten_text(row["label"], _WIDEST_END, _ENDS)
            common = {"hardware": row["hardware"], PERFORMANCE: at}
            self._rows.append({"layer": "ceiling label", "label": text, "is_main": row["is_main"], **common})
            for line in (row[PERFORMANCE], *(row.get("beside") or [])):
                self._rows.append({"layer": "leader", "line_flops_per_s": line, **common})

    def place_points(self, points: pl.DataFrame) -> None:
        """Write the names of points beside them: one row per point, with its `label` and `series`.

        Points at one spot share a label. A point without room for its name gets a number, which `keys` explains; if
        there is not even room for that, all get numbers.
        """
        places = list(self._join_points(points))
        labels, rows = self._layout.labels.copy(), self._rows.copy()
        if not all(self._place_names(*place) or self._place_key(*place) for place in places):
            self._layout.labels[:], self._rows[:], self.keys[:] = labels, rows, []
            for place in places:
                self._place_key(*place)

    def place_numbers(self, points: pl.DataFrame, number: str) -> None:
        """Write a number beside each point that has room for it; the largest numbers go first."""
        for row in points.sort("label", number, descending=True).iter_rows(named=True):
            x, y = self._axes.to_pixels(row[INTENSITY], row[PERFORMANCE])
            box = self._layout.place_beside(x, y, str(row[number]), _NAME, 6, is_near=True)
            if box is not None:
                self._add("point label", str(row[number]), box.left, (box.top + box.bottom) / 2)

    def _place_names(self, x: float, y: float, names: list[tuple[str, str]]) -> bool:
        """Write the names of the points at one spot, if they are few and there is room."""
        lines = _join_names(names)
        return len(lines) <= _MOST_LINES and self._place_name(x, y, "\n".join(lines))

    def _place_key(self, x: float, y: float, names: list[tuple[str, str]]) -> bool:
        """Write a number at one spot, and the names of its points into the legend."""
        number = str(1 + len({key.partition(" ")[0] for key in self.keys}))
        if not self._place_name(x, y, number):
            return False
        each = dict.fromkeys(name for name, _ in names)
        self.keys += [f"{number}  {shorten_text(name, _WIDEST_KEY, _ENDS)}" for name in each]
        return True

    def _place_name(self, x: float, y: float, text: str) -> bool:
        """Place the label of a point, with a line to it if it is not right beside it."""
        box = self._layout.place_beside(x, y, text, _NAME, _NEAR)
        if box is None:
            return False
        self._add("point label", text, box.left, box.top + LINE_HEIGHT / 2)
        near_x, near_y = min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)
        if math.dist((x, y), (near_x, near_y)) > 2 * _NEAR:
            end = self._axes.to_values(near_x, near_y)
            ends = {"end_flops_per_byte": end[INTENSITY], "end_flops_per_s": end[PERFORMANCE]}
            self._rows.append({"layer": "point leader", **self._axes.to_values(x, y), **ends})
        return True

    def _place_slope(self, row: dict[str, Any], *, is_strict: bool) -> bool:
        """Place the label of a slope; if strictly, on no slope and no mark."""
        x, y = self._axes.to_pixels(row[INTENSITY], row[PERFORMANCE])
        angle, across, along = self._axes.slope, self._measure_across(x, y), self._measure_along(x, y)
        width = measure_text(row["label"], _ENDS)
        for step, side in product(range(_SIDES[0] * 2, WIDTH, 16), _SIDES):
            if is_strict and self._is_crowded(along + step, width, across, side):
                continue
            at_x = x + step * math.cos(angle) - side * math.sin(angle)
            at_y = y - step * math.sin(angle) - side * math.cos(angle)
            if self._layout.place(boxes_along(at_x, at_y, row["label"], _ENDS, angle)):
                self._add("slope label", row["label"], at_x, at_y, is_main=row["is_main"])
                return True
        return False

    def _is_crowded(self, along: float, width: float, across: float, side: float) -> bool:
        """Return whether a label beside a slope would lie on another slope or on a mark."""
        if any(abs(each - across) > 1 and abs(each - across - side) < _CLEAR for each in self._slopes):
            return True
        places = ((self._measure_along(x, y), self._measure_across(x, y)) for x, y, _ in self._points)
        return any(along - _CLEAR < a < along + width + _CLEAR and abs(b - across - side) < _OFF for a, b in places)

    def _measure_along(self, x: float, y: float) -> float:
        """Return how far up the slopes a place is."""
        return x * math.cos(self._axes.slope) - y * math.sin(self._axes.slope)

    def _measure_across(self, x: float, y: float) -> float:
        """Return the distance of a slope through a place from the one through the corner; it grows upwards."""
        return -(x * math.sin(self._axes.slope) + y * math.cos(self._axes.slope))

    def _join_points(self, points: pl.DataFrame) -> Iterable[tuple[float, float, list[tuple[str, str]]]]:
        """Return places of points, each with names and series of those that lie there."""
        places: list[tuple[float, float, list[tuple[str, str]]]] = []
        for row in points.sort(INTENSITY, PERFORMANCE).iter_rows(named=True):
            x, y = self._axes.to_pixels(row[INTENSITY], row[PERFORMANCE])
            near = next((names for x0, y0, names in places if math.dist((x, y), (x0, y0)) < _SAME), None)
            if near is None:
                places.append((x, y, [(row["label"], row["series"])]))
            else:
                near.append((row["label"], row["series"]))
        return places

    def _add(self, layer: str, text: str, x: float, y: float, **more: Any) -> None:
        self._rows.append({"layer": layer, "label": text, **self._axes.to_values(x, y), **more})


def _join_names(names: list[tuple[str, str]]) -> list[str]:
    """Return the names of points at one spot: how many have each, and of which series, if there are several.

    Parameters
    ----------
    names
        Name and series of each point.
    """
    has_series = len({series for _, series in names}) > 1
    lines = []
    for name in dict.fromkeys(name for name, _ in names):
        found = [series for other, series in names if other == name]
        count = f" ×{len(found)}" if len(found) > len(set(found)) else ""
        # a name that is its series says it once
        of = f" ({', '.join(dict.fromkeys(found))})" if has_series and set(found) != {name} else ""
        lines.append(shorten_text(name, _WIDEST_NAME, _NAME) + of + count)
    return lines


def draw_ridge(axes: RooflineAxes) -> alt.Chart:
    """Return a diamond on each ridge."""
    ridge = select_layer("ridge")
    point: alt.Chart = ridge.mark_point(shape="diamond", filled=True, size=80, color=INK, opacity=1).encode(
        axes.x, axes.y
    )
    return point


def draw_labels(axes: RooflineAxes, ink: str) -> list[alt.Chart]:
    """Return the layers of `RoofLabels.rows`; ceilings are labelled in an ink."""
    faint = alt.FillOpacityValue(0.94, condition={"test": alt.datum.is_main, "value": 1})
    left: dict[str, Any] = {"align": "left", "baseline": "middle"}
    angle = 360 - math.degrees(axes.slope)
    slope = select_layer("slope label").encode(axes.x, axes.y, text=LABEL, fillOpacity=faint)
    point = select_layer("point label").encode(axes.x, axes.y, text=LABEL)
    name: dict[str, Any] = {**left, "fontSize": _NAME, "lineBreak": "\n", "lineHeight": LINE_HEIGHT}
    return [
        select_layer("region label")
        .mark_text(**left, fontStyle="italic", color=GREY, fontSize=_ENDS)
        .encode(axes.x, axes.y, text=LABEL),
        *draw_end_labels(axes, ink, faint),
        # labels have a halo, so that no ceiling runs through them
        *(slope.mark_text(**left, fontSize=_ENDS, angle=angle, **look) for look in (HALO, {"color": ink})),
        select_layer("point leader")
        .mark_rule(color=GREY, strokeWidth=0.7)
        .encode(axes.x, axes.y, x2=alt.X2("end_flops_per_byte:Q"), y2=alt.Y2("end_flops_per_s:Q")),
        *(point.mark_text(**name, **look) for look in (HALO, {"color": INK})),
    ]


def draw_end_labels(axes: RooflineAxes, ink: str, opacity: Any) -> list[alt.Chart]:
    """Return the labels right of the plot, with thin lines to what they name."""
    return [
        select_layer("leader")
        .mark_rule(color=GREY, strokeWidth=0.6, opacity=0.7)
        .encode(
            x=alt.XValue(WIDTH + _LEADER - 1), x2=alt.X2Value(WIDTH + 1), y=axes.y, y2=alt.Y2("line_flops_per_s:Q")
        ),
        select_layer("ceiling label")
        .mark_text(align="left", baseline="middle", dx=_LEADER + 2, color=ink, fontSize=_ENDS)
        .encode(axes.y, x=alt.XValue(WIDTH), text=LABEL, fillOpacity=opacity),
    ]
