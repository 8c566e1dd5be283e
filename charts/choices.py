"""What the reader can choose on a chart, and what the chart says for each choice."""

import json
from collections.abc import Mapping
from typing import Any

import altair as alt

from charts.axes import Layer
from charts.style import GREY, compose_description
from charts.texts import Texts

_LONGEST_TITLE = 90  # letters in a line


def compose_texts(kind: str, title: str, subtitle: list[str]) -> Texts:
    """Return the texts of a chart whose description begins with its `kind`."""
    return Texts(title, subtitle, compose_description(kind, title, subtitle))


def offer_choice(chart: alt.LayerChart, parameter: str, label: str, texts: Mapping[Any, Texts]) -> None:
    """Let the title of a chart follow a parameter that it has, in place, and attach what it says at each value.

    Vega-Lite lets a title follow a parameter, but not a subtitle. So the chart's own subtitle must hold at every value;
    what holds at one of them only is a caption. A page can show the texts of the value that was chosen: they are in
    `usermeta.choices`, as `{parameter: {"label": …, "values": [{"value": …, "title": …, …}, …]}}`.

    Parameters
    ----------
    chart
        The chart.
    parameter
        Name of the parameter.
    label
        What is chosen, e.g. "context, tokens".
    texts
        What the chart says at each value; the first is drawn first.
    """
    any_chart: Any = chart
    titles = {value: _break_title(each.title) for value, each in texts.items()}
    if len({each.title for each in texts.values()}) > 1:
        any_chart.title.text = write_lookup(titles, parameter)
    values = [{"value": value, **each._asdict()} for value, each in texts.items()]
    any_chart.usermeta = {"choices": {parameter: {"label": label, "values": values}}}


def _break_title(title: str) -> str | list[str]:
    """Return the subject and the finding of a long title as two lines."""
    subject, colon, finding = title.partition(": ")
    return [subject + colon.rstrip(), finding] if colon and len(title) > _LONGEST_TITLE else title


def draw_caption(captions: Mapping[Any, str], parameter: str, x: float = 0, y: float = -7, **look: Any) -> alt.Chart:
    """Return a line of text above the plot, which follows a parameter if there is more than one caption."""
    text = write_lookup(captions, parameter) if len(captions) > 1 else next(iter(captions.values()))
    one_row = Layer(alt.InlineData(values=[{}]))
    style = {"align": "left", "baseline": "alphabetic", "color": GREY, "fontSize": 12, **look}
    caption: alt.Chart = one_row.mark_text(text=text, aria=False, **style)
    return caption.encode(x=alt.XValue(x), y=alt.YValue(y))


def write_lookup(texts: Mapping[Any, str | list[str]], parameter: str) -> alt.ExprRef:
    """Return an expression for the text or lines that belong to the value of a parameter."""
    return alt.ExprRef(f"{json.dumps({str(value): text for value, text in texts.items()})}[{parameter}]")
