"""Where the texts of a chart lie on its picture, as the renderer places them."""

import math
from collections.abc import Iterator
from itertools import combinations
from typing import Any, NamedTuple

import vl_convert

from flows.site.render import warm_up

_WIDTH, _ASCENT, _HEIGHT = 0.53, 0.75, 0.95  # of a letter, in font sizes
_BOLD = 1.08
_TOUCH = 1.5  # pixels by which texts may seem to overlap, because these sizes are estimates


class Text(NamedTuple):
    """A text, its role on the chart (`mark`, `axis-label`, …), and the box that it takes."""

    text: str
    role: str
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Text") -> bool:
        """Return whether two boxes overlap by more than a touch."""
        across = min(self.right, other.right) - max(self.left, other.left)
        along = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > _TOUCH and along > _TOUCH


def list_texts(spec: dict[str, Any]) -> list[Text]:
    """Return every text that is drawn, each once, even if it has a halo."""
    warm_up()
    scene = vl_convert.vegalite_to_scenegraph(spec)
    return list(dict.fromkeys(_walk(scene["scenegraph"], 0, 0)))


def find_overlaps(spec: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the pairs of texts of a chart that overlap."""
    return [(a.text, b.text) for a, b in combinations(list_texts(spec), 2) if a.overlaps(b)]


def _walk(mark: dict[str, Any], x: float, y: float) -> Iterator[Text]:
    for item in mark.get("items", []):
        if mark["marktype"] == "text" and item.get("text") not in (None, "") and item.get("opacity", 1):
            yield _measure(item, str(mark.get("role")), x, y)
        for child in item.get("items", []):
            yield from _walk(child, x + item.get("x", 0), y + item.get("y", 0))


def _measure(item: dict[str, Any], role: str, x: float, y: float) -> Text:
    """Return the upright box around a text, which may be turned and may have several lines."""
    size = item.get("fontSize", 11)
    lines = item["text"] if isinstance(item["text"], list) else str(item["text"]).split("\n")
    bold = _BOLD if item.get("fontWeight") == "bold" else 1
    width, step = max(map(len, lines)) * _WIDTH * size * bold, item.get("lineHeight", size + 2)
    left = {"left": 0, "center": -width / 2, "right": -width}[item.get("align", "left")] + item.get("dx", 0)
    above = {"top": 0, "middle": _HEIGHT / 2, "bottom": _HEIGHT}.get(item.get("baseline", "alphabetic"), _ASCENT)
    top = item.get("dy", 0) - above * size
    corners = [(left, top), (left + width, top + _HEIGHT * size + step * (len(lines) - 1))]
    turn = math.radians(item.get("angle", 0))
    turned = [
        (x + item.get("x", 0) + a * math.cos(turn) - b * math.sin(turn),
         y + item.get("y", 0) + a * math.sin(turn) + b * math.cos(turn))
        for a in (corners[0][0], corners[1][0]) for b in (corners[0][1], corners[1][1])
    ]  # fmt: skip
    xs, ys = zip(*turned, strict=True)
    return Text("\n".join(lines), role, min(xs), min(ys), max(xs), max(ys))
