"""The still of a chart: its own picture, which the page shows until Vega has drawn the chart, in a box of its size."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flows.site.thumbnails import RATIO

_MOST_BYTES = 600_000  # of a picture that a browser draws at once
_SIZE = re.compile(r'<svg [^>]*width="([\d.]+)" height="([\d.]+)"')
_PLOT = re.compile(r'<g [^>]*transform="translate\([-\d.]+,([-\d.]+)\)"')  # the first group is placed at the plot
_TITLE = re.compile(r'role-title"><g transform="translate\([-\d.]+,([-\d.]+)\)"')
_BASELINE = re.compile(r'translate\([-\d.]+,([-\d.]+)\)"|<tspan x="0" dy="([\d.]+)"')
_DESCENT = 4  # pixels of letters below a baseline
_NEARLY = 1.1  # times the height of a thumbnail: little of a plot is cut off
_PADDING, _PADDING_OF_PAGE = 12, 4  # pixels around the picture, and around the chart of the page
_TELEPHONE = 454  # pixels that charts/pages/chart.js lays a chart out in on a telephone of 390
_LETTER, _KEY, _ROW, _HEADING = 6.5, 34, 16, 36  # pixels of a legend's letter, key, row and heading


@dataclass(frozen=True)
class Still:
    """A picture and its box, in pixels of the layout, which the page scales.

    Attributes
    ----------
    width, height
        Size of the whole picture.
    top
        Where the chart begins, below the title, which the page has as text.
    box_height, narrow_height
        Height of the chart in a page, and in one so narrow that legends are below the plot.
    plot_height
        Height of the plot, which the thumbnail is stretched to; None if the thumbnail has only the top of it.
    is_heavy
        Whether it takes a browser long to draw, so that the page shows the thumbnail.
    """

    width: float
    height: float
    top: float
    box_height: int
    narrow_height: int
    plot_height: int | None
    is_heavy: bool


def measure_still(svg: str, spec: Mapping[str, Any]) -> Still:
    """Return the still of a chart, from its SVG and its Vega-Lite specification.

    Raises
    ------
    ValueError
        The SVG is none that Vega drew.
    """
    size, plot = _SIZE.search(svg), _PLOT.search(svg)
    if not size or not plot:
        raise ValueError("expected an SVG with its size and the place of its plot")
    width, height = float(size[1]), float(size[2])
    origin = float(plot[1])
    top = max([_find_end_of_title(svg, origin), *(origin + y + _DESCENT for y in _list_captions(spec))])
    box = height - top - _PADDING + _PADDING_OF_PAGE
    narrow = box + sum(_measure_growth(*legend) for legend in _list_legends(spec))
    plot_height = spec["height"] if spec["height"] * RATIO < _NEARLY * spec["width"] else None
    return Still(width, height, round(top, 1), round(box), round(narrow), plot_height, len(svg) > _MOST_BYTES)


def _find_end_of_title(svg: str, origin: float) -> float:
    title = _TITLE.search(svg)
    if not title:
        return 0
    baselines = [0.0]
    for placed, next_line in _BASELINE.findall(svg, title.end(), svg.find("</g></g>", title.end())):
        baselines.append(float(placed) if placed else baselines[-1] + float(next_line))
    return origin + float(title[1]) + max(baselines) + _DESCENT


def _list_captions(spec: Mapping[str, Any]) -> Iterator[float]:
    """Return where the lines above the plot are that the page has as text, from the plot down."""
    if not spec.get("usermeta", {}).get("choices"):
        return
    for layer in spec["layer"]:
        at = layer.get("encoding", {}).get("y", {}).get("value")
        if "data" in layer and layer["mark"]["type"] == "text" and isinstance(at, int | float) and at < 0:
            yield at


def _list_legends(spec: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Return each legend with its labels; without labels, it is a gradient."""
    seen = []
    for layer in spec["layer"]:
        for channel in layer.get("encoding", {}).values():
            legend = isinstance(channel, dict) and channel.get("legend")
            if not legend or legend.get("orient") == "none":
                continue
            scale = channel.get("scale", {})
            labels = [] if scale.get("scheme") else [str(label) for label in scale.get("domain", [])]
            if (legend, labels) not in seen:
                seen.append((legend, labels))
                yield legend, labels


def _measure_growth(legend: Mapping[str, Any], labels: list[str]) -> float:
    """Return how much higher a legend is below a plot that is as narrow as a telephone."""
    is_below = legend.get("orient") == "bottom"
    if not labels:
        return 0 if is_below else 2 * _HEADING
    key = _KEY + math.sqrt(legend.get("symbolSize", 100))
    columns = int((_TELEPHONE - 90) / (_LETTER * max(map(len, labels)) + key))
    rows = math.ceil(len(labels) / max(1, min(columns, len(labels))))
    had = math.ceil(len(labels) / legend.get("columns", len(labels))) if is_below else -_HEADING / _ROW
    return _ROW * max(0, rows - had)
