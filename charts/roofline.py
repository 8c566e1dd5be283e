"""The house style: a frame of fixed size, labels where the lines are, shapes beside colours."""

import math
from typing import Any

import altair as alt
import polars as pl

from charts.axes import INTENSITY, PERFORMANCE, Domain, select_layer, x_axis, y_axis
from charts.style import HEIGHT, INK, LABEL, WIDTH, style_chart

_LINE_HEIGHT = 15  # pixels from one label at the right to the next
_LABEL_WIDTH, _LABEL_HEIGHT = 90, 30  # pixels that the label of a point takes up
_MARK_APART = 24  # pixels between two points of which each can bear a number
_ROOF_END = 1e-2  # the far left vertex of a roof lies beyond this intensity


class RooflineAxes:
    """The axes of one chart: ranges that hold every point, ridge and roof, with room around them."""

    def __init__(self, frame: pl.DataFrame) -> None:
        is_end = pl.col(INTENSITY) < _ROOF_END
        inside = frame.filter(~is_end & (pl.col(INTENSITY) < 1 / _ROOF_END**2.5))
        ends = frame.filter(is_end)
        left = min(_find_least(inside[INTENSITY]) / 1.6, 0.6)
        slowest = _find_least(ends[PERFORMANCE] / ends[INTENSITY])
        self.x_domain: Domain = (left, 5 * -_find_least(-inside[INTENSITY]))
        lowest = min(slowest * left, 0.6 * _find_least(inside[PERFORMANCE]))  # measured points can lie far below a roof
        self.y_domain: Domain = (0.8 * lowest, 2.5 * -_find_least(-frame[PERFORMANCE]))
        self.x = x_axis(self.x_domain, "Operational intensity (FLOP per byte of DRAM traffic)")
        self.y = y_axis(self.y_domain, "Performance (FLOP/s)")

    @property
    def decade_width(self) -> float:
        """Pixels of a decade of intensity."""
        return WIDTH / math.log10(self.x_domain[1] / self.x_domain[0])

    @property
    def decade_height(self) -> float:
        """Pixels of a decade of performance."""
        return HEIGHT / math.log10(self.y_domain[1] / self.y_domain[0])

    def draw_ridge(self) -> list[alt.Chart]:
        """Return the diamond on the ridge, and its value."""
        ridge = select_layer("ridge")
        return [
            ridge.mark_point(shape="diamond", filled=True, size=90, color=INK, opacity=1).encode(self.x, self.y),
            ridge.mark_text(align="left", dx=9, dy=14, color=INK, fontSize=12).encode(self.x, self.y, text=LABEL),
        ]

    def place_end_labels(self, ceilings: pl.DataFrame) -> pl.DataFrame:
        """Return a row a label at the right end of a ceiling, moved apart where they would collide."""
        labels = ceilings.sort(PERFORMANCE, "label")
        places = spread(labels[PERFORMANCE].log10().to_list(), _LINE_HEIGHT / self.decade_height)
        moved = 10 ** pl.Series(PERFORMANCE, places, dtype=pl.Float64)
        return labels.drop(INTENSITY).with_columns(moved, layer=pl.lit("ceiling label"))

    def place_point_labels(self, points: pl.DataFrame) -> pl.DataFrame:
        """Return a row a label, one for all points whose own labels would lie on one another."""
        phased = pl.format("{} ({})", "label", "phase")
        crowded = (pl.col("x").diff() < _LABEL_WIDTH) & (pl.col("y").diff().abs() < _LABEL_HEIGHT)
        return (
            points.sort(INTENSITY)
            .with_columns(
                x=pl.col(INTENSITY).log10() * self.decade_width, y=pl.col(PERFORMANCE).log10() * self.decade_height
            )
            .with_columns(cluster=(~crowded.fill_null(value=False)).cum_sum())
            .group_by("cluster", "label", maintain_order=True)
            .agg(pl.col("phase").unique(maintain_order=True).str.join(", "), pl.col(INTENSITY, PERFORMANCE).last())
            .with_columns(label=pl.when(pl.col("phase").n_unique().over("cluster") > 1).then(phased).otherwise("label"))
            .group_by("cluster", maintain_order=True)
            .agg(pl.col("label").str.join("\n"), pl.col(INTENSITY, PERFORMANCE).last())
            .select("label", INTENSITY, PERFORMANCE, layer=pl.lit("point label"))
        )

    def place_number_labels(self, points: pl.DataFrame, number: str) -> pl.DataFrame:
        """Return a row a label with the points' `number`, for those that have room, from the last one on."""
        kept, last = [], (math.inf, math.inf)
        for row in points.sort("label", number, descending=True).iter_rows(named=True):
            at = (math.log10(row[INTENSITY]) * self.decade_width, math.log10(row[PERFORMANCE]) * self.decade_height)
            if math.dist(at, last) > _MARK_APART:
                kept.append({**row, "layer": "point label", "label": str(row[number])})
                last = at
        return pl.DataFrame(kept, schema=points.schema)


def assemble_roofline(layers: list[alt.Chart], frame: pl.DataFrame, title: str, subtitle: list[str]) -> alt.LayerChart:
    """Return the layers as one chart of the house's size, with title and description."""
    chart: Any = alt.layer(*layers)
    return style_chart(
        chart,
        frame,
        title=alt.TitleParams(title, subtitle=subtitle),
        width=WIDTH,
        height=HEIGHT,
        description=f"Roofline. {title}. {'. '.join(subtitle)}.",
    )


def spread(positions: list[float], gap: float) -> list[float]:
    """Move sorted positions apart, as little as may be, until each is `gap` from the next."""
    clusters: list[tuple[float, int]] = []  # centre and size, each laid out evenly about its centre
    for position in positions:
        centre, size = position, 1
        while clusters and centre - gap * (size - 1) / 2 < _find_top(clusters[-1], gap) + gap:
            other, count = clusters.pop()
            centre, size = (centre * size + other * count) / (size + count), size + count
        clusters.append((centre, size))
    return [centre + gap * (i - (size - 1) / 2) for centre, size in clusters for i in range(size)]


def _find_top(cluster: tuple[float, int], gap: float) -> float:
    return cluster[0] + gap * (cluster[1] - 1) / 2


def _find_least(values: pl.Series) -> float:
    return min(map(float, values))
