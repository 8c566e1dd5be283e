"""The texts of a drawn chart, and the boxes that they take, from its SVG."""

import math
import re
from itertools import combinations
from typing import NamedTuple
from xml.etree import ElementTree

from charts.label_layout import Box, boxes_along, measure_text

_TRANSLATE = re.compile(r"translate\(([-\d.e]+)[, ]([-\d.e]+)\)")
_ROTATE = re.compile(r"rotate\(([-\d.e]+)")
_SLACK = 1.5  # pixels that letters stay inside their line
_ALIGN = {"start": 0.0, "middle": 0.5, "end": 1.0}


class DrawnText(NamedTuple):
    """A line of text, and the upright boxes that cover it."""

    text: str
    boxes: list[Box]


def read_texts(svg: bytes) -> tuple[Box, list[DrawnText]]:
    """Return the frame of a picture, and its lines of text; a text and its halo are one."""
    root = ElementTree.fromstring(svg)
    frame = Box(0, 0, float(root.attrib["width"]), float(root.attrib["height"]))
    texts: dict[tuple[str, int, int], DrawnText] = {}
    _walk(root, 0, 0, texts)
    return frame, list(texts.values())


def list_collisions(svg: bytes) -> list[str]:
    """Return what is wrong with the texts of a picture: two on one another, or one that is cut at the frame."""
    frame, texts = read_texts(svg)
    cut = [f"{text.text!r} is cut" for text in texts if not all(box.is_inside(frame) for box in text.boxes)]
    return cut + [
        f"{one.text!r} lies on {other.text!r}"
        for one, other in combinations(texts, 2)
        if any(a.overlaps(b) for a in one.boxes for b in other.boxes)
    ]


def _walk(element: ElementTree.Element, x: float, y: float, texts: dict[tuple[str, int, int], DrawnText]) -> None:
    transform = element.attrib.get("transform", "")
    if found := _TRANSLATE.search(transform):
        x, y = x + float(found[1]), y + float(found[2])
    if element.tag.endswith("}text") and element.attrib.get("opacity") != "0":
        size = float(element.attrib.get("font-size", "11px").removesuffix("px"))
        anchor = _ALIGN[element.attrib.get("text-anchor", "start")]
        turned = _ROTATE.search(transform)
        angle = -math.radians(float(turned[1])) if turned else 0.0
        lines = list(element) or [element]
        for i, line in enumerate(lines):
            text = line.text or ""
            down = float(line.attrib.get("dy", 0)) if i else 0.0
            y += down
            if text.strip():
                texts[text, round(x), round(y)] = DrawnText(text, _cover(x, y, text, size, anchor, angle))
        return
    for child in element:
        _walk(child, x, y, texts)


def _cover(x: float, y: float, text: str, size: float, anchor: float, angle: float) -> list[Box]:
    """Return boxes around a text whose base line begins, or ends, at a position."""
    width = measure_text(text, size)
    middle = 0.3 * size  # of small letters, above the base line
    at_x = x - anchor * width * math.cos(angle) - middle * math.sin(angle)
    at_y = y + anchor * width * math.sin(angle) - middle * math.cos(angle)
    if angle:
        return boxes_along(at_x, at_y, text, 0.8 * size, angle)
    return [Box(at_x + _SLACK, at_y - size / 2 + _SLACK, at_x + width - _SLACK, at_y + size / 2 - _SLACK)]
