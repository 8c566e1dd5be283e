"""Which column the points of a roofline are coloured by, and the ink and shape of each of its values."""

from typing import Any, NamedTuple

import altair as alt
import polars as pl

from charts.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION

OTHER = "other"
# of several devices the roofs are coloured too
_COLUMNS = {"phase": "phase", "hardware": "device", "dtype": "dtype", "level": "level", "bound": "bound"}
_NOT_STATED = "not stated"
_MOST_VALUES = 8  # of a legend; of more, the most frequent ones and "other"
# Points of both phases can coincide, so decode is drawn smaller and on top.
_PHASES = {
    "prefill": (VERMILION, "circle", 150),
    "decode": (GREEN, "triangle-up", 40),
    "speculative": (BLUE, "diamond", 60),
    "mixed": (PURPLE, "square", 60),
}
_INKS = (PURPLE, BLUE, VERMILION, GREEN, ORANGE, SKY, INK, GREY)
_SHAPES = ("square", "circle", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left")
_OTHER = (GREY, "circle", 40)
_SIZE = 60


class Series(NamedTuple):
    """The series of a chart's points: values of one column, each with an ink, a shape and a size.

    Attributes
    ----------
    title
        What the column is called.
    styles
        Ink, shape and size of each value, in the order of the legend.
    """

    title: str
    styles: dict[str, tuple[str, str, int]]

    def encode(self, *, scale: float = 1) -> tuple[alt.Color, alt.Shape, alt.Size]:
        """Return the channels that draw the column `series`, with sizes times `scale`."""
        inks, shapes, sizes = map(list, zip(*self.styles.values(), strict=True))
        values: Any = list(self.styles)
        legend = alt.Legend(title=self.title, orient="bottom", direction="horizontal", columns=4, labelLimit=220)
        sizing = alt.Scale(type="ordinal", domain=values, range=[size * scale for size in sizes])
        return (
            alt.Color("series:N", scale=alt.Scale(domain=values, range=inks), legend=legend),
            alt.Shape("series:N", scale=alt.Scale(domain=values, range=shapes)),
            alt.Size("series:N", scale=sizing, sort="ascending", legend=legend),
        )


def find_series(points: pl.DataFrame) -> tuple[pl.DataFrame, Series]:
    """Return points with the column `series`, and its values.

    It is the column `colour` if the points have one, whose name is `colour_title`; else the first of phase, device,
    dtype, level and bound that tells points apart, or else the first that is known.
    """
    column, title = _choose_column(points)
    text = pl.col(column).cast(pl.String).fill_null(_NOT_STATED) if column else pl.lit("kernel")
    named = points.with_columns(series=text)
    counts = named["series"].value_counts().sort("count", "series", descending=[True, False])["series"].to_list()
    if len(counts) > _MOST_VALUES:
        kept = counts[: _MOST_VALUES - 1]
        named = named.with_columns(series=pl.when(pl.col("series").is_in(kept)).then("series").otherwise(pl.lit(OTHER)))
        counts = [*(value for value in kept if value != OTHER), OTHER]
    return named, Series(title, _choose_styles(counts))


def _choose_column(points: pl.DataFrame) -> tuple[str | None, str]:
    if "colour" in points.columns and points["colour"].count():
        return "colour", points["colour_title"].drop_nulls()[0]
    known = [column for column in _COLUMNS if column in points.columns and points[column].count()]
    telling = [column for column in known if points[column].n_unique() > 1]
    column = next(iter(telling or [name for name in known if name != "hardware"]), None)
    return column, _COLUMNS.get(column or "", "points")


def _choose_styles(values: list[str]) -> dict[str, tuple[str, str, int]]:
    """Return the phases in the order of a request, then the other values, each with a style that no other has."""
    phases = {phase: style for phase, style in _PHASES.items() if phase in values}
    taken = {ink for ink, _, _ in phases.values()}
    inks = [ink for ink in _INKS if ink not in taken]
    others = [value for value in values if value not in phases and value != OTHER]
    styles = {value: (inks[i % len(inks)], _SHAPES[i % len(_SHAPES)], _SIZE) for i, value in enumerate(others)}
    return {**phases, **styles, **({OTHER: _OTHER} if OTHER in values else {})}
