"""What charts of decode steps share: the looks of op groups, the choice of a context, and what they say."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import altair as alt
import polars as pl

from charts.axes import Layer
from charts.choices import compose_texts, draw_caption, offer_choice
from charts.label_layout import shorten_text
from charts.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    YELLOW,
    add_parameter,
    assemble_chart,
    compose_description,
)

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
EXPECTED = "expected"  # what calibrated roofs predict, beside the least time
_OTHER = ("#888", "circle")
_LONGEST_LINE = 120  # characters of a subtitle
_WIDEST_ORIGIN, _SIZE = 560, 12  # pixels
NUMBER = ",~r"  # format of an axis: 48,250 and 0.1
_TITLE_OFFSET = 4  # pixels between the title and the plot, if there is no caption
_CAPTION_OFFSET = 14  # pixels between the title and the plot, which leave room for a caption
_CHOICE = "context, tokens"


class Finding(NamedTuple):
    """What a chart says of one context: its title, and remarks that hold at this context only."""

    title: str
    remarks: Sequence[str] = ()


def list_looks(groups: list[str]) -> tuple[list[str], list[str]]:
    """Return the colours and the shapes of op groups."""
    looks = [_LOOKS.get(group, _OTHER) for group in groups]
    return [colour for colour, _ in looks], [shape for _, shape in looks]


def assemble_step_chart(
    layers: Sequence[alt.Chart],
    frame: pl.DataFrame,
    kind: str,
    subtitle: list[str],
    find: Callable[[pl.DataFrame], Finding],
    title_offset: int = 0,
) -> alt.LayerChart:
    """Combine layers into a chart whose reader chooses the context, and let all that it says follow the choice.

    Parameters
    ----------
    layers
        The layers; those that depend on the context are made by `select_context`.
    frame
        The rows of the chart.
    kind
        What the chart is: its description begins with it.
    subtitle
        Lines that hold at every context.
    find
        Returns what the chart says of the rows of one context.
    title_offset
        Pixels above the plot that layers take.
    """
    contexts = frame["sequence_length"].drop_nulls().unique().sort().to_list()
    findings = {context: find(frame.filter(sequence_length=context)) for context in contexts}
    captions = {each: _compose_caption(each, finding.remarks) for each, finding in findings.items()}
    lines = {each: [*subtitle, *([captions[each]] if finding.remarks else [])] for each, finding in findings.items()}
    first = contexts[0]
    has_choice = len(contexts) > 1
    if has_choice:
        layers = [*layers, draw_caption(captions, "context", y=-7 - title_offset)]
    chart = assemble_chart(
        layers,
        frame,
        kind,
        findings[first].title,
        subtitle if has_choice else lines[first],
        offset=title_offset + (_CAPTION_OFFSET if has_choice else _TITLE_OFFSET),
    )
    add_parameter(chart, _make_parameter(contexts))
    if has_choice:
        texts = {each: compose_texts(kind, findings[each].title, lines[each]) for each in contexts}
        offer_choice(chart, "context", _CHOICE, texts)
        titles = ". ".join(each.title for each in texts.values())
        chart.description = compose_description(kind, titles, subtitle)
    return chart


def _compose_caption(context: int, remarks: Sequence[str]) -> str:
    return f"Context {context:,}{': ' if remarks else ''}{'; '.join(remarks)}"


def _make_parameter(contexts: list[int]) -> alt.Parameter:
    """Return the chosen context; the shortest is drawn first."""
    if len(contexts) == 1:
        return alt.param(name="context", value=contexts[0])
    select = alt.binding_select(options=contexts, labels=[f"{each:,}" for each in contexts], name=_CHOICE)
    return alt.param(name="context", value=contexts[0], bind=select)


def select_context(*conditions: str) -> alt.Chart:
    """Return a chart of the rows of the chosen context that meet these conditions."""
    return Layer().transform_filter(" && ".join(["datum.sequence_length == context", *conditions]))


def name_model(rows: pl.DataFrame) -> str:
    """Return the model and its precision, for titles."""
    return "{} in {}".format(*rows.select("model", "precision_id").row(0))


def describe_setting(frame: pl.DataFrame) -> str:
    """Name the setting that holds at every context."""
    convention, devices = frame.select("convention", "tensor_parallel").row(0)
    sharing = "one device" if devices == 1 else f"shared by {devices} devices (tensor parallel)"
    return f"Decode, {convention} convention, {sharing}"


def name_expected(field: str, shape: str) -> tuple[alt.Shape, alt.Tooltip]:
    """Return the shape of expected times, which a legend names, and their tooltip."""
    scale = alt.Scale(domain=[EXPECTED], range=[shape])
    legend = name_estimate(symbolSize=80, symbolStrokeWidth=1.5)
    return alt.Shape("estimate:N", scale=scale, legend=legend), alt.Tooltip(field, title=EXPECTED, format=",.4~r")


def name_estimate(**symbol: Any) -> alt.Legend:
    """Return the legend of marks that show what calibrated roofs predict."""
    said: dict[str, Any] = {"title": EXPECTED, "labelExpr": "'by calibrated roofs'", "labelLimit": 0}
    return alt.Legend(**said, orient="bottom", symbolStrokeColor=INK, symbolOpacity=1, **symbol)


def describe_roof(frame: pl.DataFrame, subject: str = "At the roof, a lower bound of time") -> list[str]:
    """Name the roof that times refer to, and its origin, in one line or two."""
    dtype, basis = frame["dtype"][0], ", ".join(frame["basis"].drop_nulls().unique().sort())
    roof = f"{subject}: {dtype} peak and DRAM bandwidth, basis {basis}"
    if "origin" not in frame.columns:
        return [roof]
    origin = shorten_text(frame["origin"][0], _WIDEST_ORIGIN, _SIZE)
    line = f"{roof} ({origin})"
    return [line] if len(line) <= _LONGEST_LINE else [roof, f"Peak: {origin}"]
