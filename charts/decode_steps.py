"""What charts of a model's steps share: a look for each op group, axes of batches, and the choice of a context."""

from typing import Any

import altair as alt
import polars as pl

from charts.axes import Layer
from charts.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION

# an op group looks the same on every chart: colour, and shape where it is a point
_LOOKS = {
    "attention": (BLUE, "circle"),
    "up/gate/down": (VERMILION, "square"),
    "qkv mlp": (ORANGE, "triangle-up"),
    "out": (GREEN, "diamond"),
    "lm_head": (PURPLE, "cross"),
    "router": (INK, "triangle-down"),
    "elementwise": (GREY, "triangle-left"),
    "norm": (SKY, "triangle-right"),
    "embedding": ("#f0e442", "stroke"),  # yellow, the last of Okabe and Ito's
}
_OTHER = ("#999999", "circle")
_LONGEST_LINE = 120  # characters of a subtitle


def list_looks(groups: list[str]) -> tuple[list[str], list[str]]:
    """Return the colours and the shapes of op groups."""
    looks = [_LOOKS.get(group, _OTHER) for group in groups]
    return [colour for colour, _ in looks], [shape for _, shape in looks]


def make_context_choice(frame: pl.DataFrame) -> alt.Parameter:
    """Return the choice of a context among those of the frame; the shortest is drawn first."""
    contexts = frame["sequence_length"].drop_nulls().unique().sort().to_list()
    select = alt.binding_select(options=contexts, labels=[f"{each:,}" for each in contexts], name="context, tokens")
    return alt.param(name="context", value=contexts[0], bind=select)


def select_context(*conditions: str) -> alt.Chart:
    """Return a chart of the rows of the chosen context for which the conditions hold."""
    return Layer().transform_filter(" && ".join(["datum.sequence_length == context", *conditions]))


def draw_context_label(one_row: alt.Chart, x: float) -> alt.Chart:
    """Return the chosen context, written at the top of a chart of one row."""
    said = alt.ExprRef("'context ' + format(context, ',')")
    text: alt.Chart = one_row.mark_text(text=said, align="left", fontWeight="bold", fontSize=12, color=GREY)
    return text.encode(x=alt.XValue(x), y=alt.YValue(12))


def select_shortest_context(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are drawn first."""
    return frame.filter(pl.col("sequence_length") == pl.col("sequence_length").min())


def describe_setting(shown: pl.DataFrame) -> str:
    """Say at which setting a chart is drawn first, whatever is chosen later."""
    precision, convention, context = shown.select("precision_id", "convention", "sequence_length").row(0)
    return f"Decode in {precision}, {convention} convention, at context {context:,}"


def describe_roof(frame: pl.DataFrame, what: str = "At the roof, a lower bound of time") -> list[str]:
    """Say what times are held against, and who states it, in one line or two."""
    dtype, basis = frame["dtype"][0], ", ".join(frame["basis"].drop_nulls().unique().sort())
    said = f"{what}: {dtype} peak and DRAM bandwidth, basis {basis}"
    if "origin" not in frame.columns:
        return [said]
    whole = f"{said} ({frame['origin'][0]})"
    return [whole] if len(whole) <= _LONGEST_LINE else [said, f"Peak: {frame['origin'][0]}"]


def add_parameters(chart: alt.LayerChart, *choices: alt.Parameter) -> alt.LayerChart:
    """Add parameters to a chart in place: Altair's own method copies it."""
    params: Any = [choice.param for choice in choices]
    own = chart.params if isinstance(chart.params, list) else []
    chart.params = [*own, *params]
    return chart
