"""What rooflines in the house style share: axes that hold everything, and labels that do not collide."""

import math

import altair as alt
import polars as pl

from charts.axes import INTENSITY, PERFORMANCE, Domain, select_layer, x_axis, y_axis
from charts.style import HEIGHT, INK, LABEL, WIDTH

_LINE_HEIGHT = 15  # pixels from one label at the right edge to the next
_LABEL_WIDTH, _LABEL_HEIGHT = 90, 30  # pixels that the label of a point takes
_NUMBER_GAP = 24  # pixels between two points that both have room for a number
_ROOF_START = 1e-2  # the view puts the leftmost vertex of a roof below this intensity, ...
_ROOF_STOP = 1e5  # ... and the rightmost above this one


class RooflineAxes:
    """The axes of a chart: ranges that hold every point, ridge and roof, with some room around them."""

    def __init__(self, frame: pl.DataFrame) -> None:
        starts = frame.filter(pl.col(INTENSITY) < _ROOF_START)
        inside = frame.filter(pl.col(INTENSITY) >= _ROOF_START, pl.col(INTENSITY) < _ROOF_STOP)
        least, most = _find_range(inside[INTENSITY])
        self.x_domain: Domain = (min(least / 1.6, 0.6), 5 * most)
        slowest, _ = _find_range(starts[PERFORMANCE] / starts[INTENSITY])
        lowest_point, _ = _find_range(inside[PERFORMANCE])  # measured points can lie far below every roof
        _, highest = _find_range(frame[PERFORMANCE])
        self.y_domain: Domain = (0.8 * min(slowest * self.x_domain[0], 0.6 * lowest_point), 2.5 * highest)
        self.x = x_axis(self.x_domain, "Operational intensity (FLOP per byte of DRAM traffic)")
        self.y = y_axis(self.y_domain, "Performance (FLOP/s)")

    @property
    def decade_width(self) -> float:
        """Pixels per decade of intensity."""
        return WIDTH / math.log10(self.x_domain[1] / self.x_domain[0])

    @property
    def decade_height(self) -> float:
        """Pixels per decade of performance."""
        return HEIGHT / math.log10(self.y_domain[1] / self.y_domain[0])

    def draw_ridge(self) -> list[alt.Chart]:
        """Return the diamond on the ridge, and its value."""
        ridge = select_layer("ridge")
        return [
            ridge.mark_point(shape="diamond", filled=True, size=90, color=INK, opacity=1).encode(self.x, self.y),
            ridge.mark_text(align="left", dx=9, dy=14, color=INK, fontSize=12).encode(self.x, self.y, text=LABEL),
        ]

    def place_end_labels(self, ceilings: pl.DataFrame) -> pl.DataFrame:
        """Return one row per ceiling: its label at the right edge, moved away from its neighbours."""
        labels = ceilings.sort(PERFORMANCE, "label")
        places = spread(labels[PERFORMANCE].log10().to_list(), _LINE_HEIGHT / self.decade_height)
        moved = 10 ** pl.Series(PERFORMANCE, places, dtype=pl.Float64)
        return labels.drop(INTENSITY).with_columns(moved, layer=pl.lit("ceiling label"))

    def place_point_labels(self, points: pl.DataFrame) -> pl.DataFrame:
        """Return one row per label; points whose labels would overlap share one."""
        phased = pl.format("{} ({})", "label", "phase")
        x, y = pl.col(INTENSITY).log10() * self.decade_width, pl.col(PERFORMANCE).log10() * self.decade_height
        crowded = (pl.col("x").diff() < _LABEL_WIDTH) & (pl.col("y").diff().abs() < _LABEL_HEIGHT)
        return (
            points.sort(INTENSITY)
            .with_columns(x=x, y=y)
            .with_columns(cluster=(~crowded.fill_null(value=False)).cum_sum())
            .group_by("cluster", "label", maintain_order=True)
            .agg(pl.col("phase").unique(maintain_order=True).str.join(", "), pl.col(INTENSITY, PERFORMANCE).last())
            .with_columns(label=pl.when(pl.col("phase").n_unique().over("cluster") > 1).then(phased).otherwise("label"))
            .group_by("cluster", maintain_order=True)
            .agg(pl.col("label").str.join("\n"), pl.col(INTENSITY, PERFORMANCE).last())
            .select("label", INTENSITY, PERFORMANCE, layer=pl.lit("point label"))
        )

    def place_number_labels(self, points: pl.DataFrame, number: str) -> pl.DataFrame:
        """Return one row per point that has room for a label: its `number`; the largest numbers go first."""
        kept, last = [], (math.inf, math.inf)
        for row in points.sort("label", number, descending=True).iter_rows(named=True):
            at = (math.log10(row[INTENSITY]) * self.decade_width, math.log10(row[PERFORMANCE]) * self.decade_height)
            if math.dist(at, last) > _NUMBER_GAP:
                kept.append({**row, "layer": "point label", "label": str(row[number])})
                last = at
        return pl.DataFrame(kept, schema=points.schema)


def spread(positions: list[float], gap: float) -> list[float]:
    """Move sorted positions apart, as little as possible, until neighbours are at least `gap` apart."""
    clusters: list[tuple[float, int]] = []  # centre and size; the members lie evenly about the centre
    for position in positions:
        centre, size = position, 1
        while clusters and centre - gap * (size - 1) / 2 < _find_top(clusters[-1], gap) + gap:
            other, count = clusters.pop()
            centre, size = (centre * size + other * count) / (size + count), size + count
        clusters.append((centre, size))
    return [centre + gap * (i - (size - 1) / 2) for centre, size in clusters for i in range(size)]


def _find_top(cluster: tuple[float, int], gap: float) -> float:
    centre, size = cluster
    return centre + gap * (size - 1) / 2


def _find_range(values: pl.Series) -> Domain:
    numbers = [float(value) for value in values]
    return min(numbers), max(numbers)
