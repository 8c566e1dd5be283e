"""What charts of decode steps share: the looks of op groups, the choice of a context, and lines of the subtitle."""

import altair as alt
import polars as pl

from charts.axes import Layer
from charts.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION, YELLOW

# An op group has the same colour, and as a point the same shape, on every chart.
_LOOKS = {
    "attention": (BLUE, "circle"),
    "up/gate/down": (VERMILION, "square"),
    "qkv mlp": (ORANGE, "triangle-up"),
    "out": (GREEN, "diamond"),
    "lm_head": (PURPLE, "cross"),
    "router": (INK, "triangle-down"),
    "elementwise": (GREY, "triangle-left"),
    "norm": (SKY, "triangle-right"),
    "embedding": (YELLOW, "stroke"),
}
_OTHER = ("#888", "circle")
_LONGEST_LINE = 120  # characters of a subtitle


def list_looks(groups: list[str]) -> tuple[list[str], list[str]]:
    """Return the colours and the shapes of op groups."""
    looks = [_LOOKS.get(group, _OTHER) for group in groups]
    return [colour for colour, _ in looks], [shape for _, shape in looks]


def make_context_choice(frame: pl.DataFrame) -> alt.Parameter:
    """Return the choice between the contexts of a frame; the shortest is drawn first."""
    contexts = frame["sequence_length"].drop_nulls().unique().sort().to_list()
    select = alt.binding_select(options=contexts, labels=[f"{each:,}" for each in contexts], name="context, tokens")
    return alt.param(name="context", value=contexts[0], bind=select)


def select_context(*conditions: str) -> alt.Chart:
    """Return a chart of the rows of the chosen context that meet these conditions."""
    return Layer().transform_filter(" && ".join(["datum.sequence_length == context", *conditions]))


def draw_context_label(one_row: alt.Chart, x: float) -> alt.Chart:
    """Return the chosen context as a text at the top of the plot; `one_row` is a chart of one row."""
    context = alt.ExprRef("'context ' + format(context, ',')")
    text: alt.Chart = one_row.mark_text(text=context, align="left", fontWeight="bold", fontSize=12, color=GREY)
    return text.encode(x=alt.XValue(x), y=alt.YValue(12))


def select_shortest_context(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are drawn first, which titles are about."""
    return frame.filter(pl.col("sequence_length") == pl.col("sequence_length").min())


def describe_setting(shown: pl.DataFrame) -> str:
    """Name the setting that is drawn first; the title is about it whatever the reader chooses."""
    precision, convention, context = shown.select("precision_id", "convention", "sequence_length").row(0)
    return f"Decode in {precision}, {convention} convention, at context {context:,}"


def describe_roof(frame: pl.DataFrame, subject: str = "At the roof, a lower bound of time") -> list[str]:
    """Name the roof that times refer to, and its origin, in one line or two."""
    dtype, basis = frame["dtype"][0], ", ".join(frame["basis"].drop_nulls().unique().sort())
    roof = f"{subject}: {dtype} peak and DRAM bandwidth, basis {basis}"
    if "origin" not in frame.columns:
        return [roof]
    line = f"{roof} ({frame['origin'][0]})"
    return [line] if len(line) <= _LONGEST_LINE else [roof, f"Peak: {frame['origin'][0]}"]
