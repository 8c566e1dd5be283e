"""The small picture of a chart that its card shows: the marks alone, since text would be too small to read."""

import re
from xml.etree import ElementTree as ET

from charts.inks import write_dark_inks

_SVG = "http://www.w3.org/2000/svg"
_LEFT_OUT = ("role-axis", "role-legend", "role-title", "role-header", "mark-text")  # classes of groups
_MOST_MARKS = 300  # of one group, e.g. the points of thousands of kernels
RATIO = 16 / 10  # of a card's picture
_SHOWN = {
    *("d", "fill", "stroke", "stroke-width", "stroke-dasharray", "transform"),
    *("opacity", "fill-opacity", "stroke-opacity"),
}

_LONG = re.compile(r"-?\d+\.\d\d+")  # coordinates of more digits than a small picture shows


def draw_thumbnail(svg: str) -> bytes:
    """Return the marks of a chart as an SVG: no title, legend, axis or label; the plot fills the picture.

    A plot that is taller than a card is cut off below. Of a group of more than 300 marks, every n-th is drawn.
    """
    root = ET.fromstring(svg)
    frame = next(group for group in root.iter(f"{{{_SVG}}}g") if "role-frame" in group.get("class", ""))
    ground = next(path for path in frame.iter(f"{{{_SVG}}}path") if path.get("class") == "background")
    width, height = (float(size) for size in ground.get("d", "").partition("h")[2].partition("h-")[0].split("v"))
    height = min(height, width / RATIO)
    clean(frame)
    size = {"width": f"{width:g}", "height": f"{height:g}"}
    made = ET.Element(f"{{{_SVG}}}svg", {"viewBox": f"0 0 {width:g} {height:g}", **size, "fill": "none"})
    ET.SubElement(made, f"{{{_SVG}}}style").text = write_dark_inks()
    ET.SubElement(made, f"{{{_SVG}}}rect", {**size, "fill": "white"})
    made.append(frame)
    ET.register_namespace("", _SVG)
    return ET.tostring(made)


def clean(group: ET.Element) -> None:
    """Remove what a thumbnail does not show from a group and the groups in it."""
    children = [child for child in group if _is_shown(child)]
    marks = [child for child in children if child.tag == f"{{{_SVG}}}path"]
    if len(marks) > _MOST_MARKS:
        kept = set(marks[:: -(-len(marks) // _MOST_MARKS)])
        children = [child for child in children if child in kept or child not in marks]
    group[:] = children
    group.attrib = {
        name: _LONG.sub(_round, value) if name in ("d", "transform") else value
        for name, value in group.attrib.items()
        if name in _SHOWN
    }
    for child in children:
        clean(child)


def _is_shown(element: ET.Element) -> bool:
    classes = element.get("class", "")
    if element.tag == f"{{{_SVG}}}text" or any(name in classes for name in _LEFT_OUT):
        return False
    # the ground of a legend inside the plot
    if element.get("fill") == "white" and re.match(r"M[-\d.,]+h", element.get("d", "")):
        return False
    # frames around plots, and marks that take part in nothing but the pointer's position
    return not (classes in ("background", "foreground") and element.get("fill", "none") in ("none", "transparent", ""))


def _round(number: re.Match[str]) -> str:
    return f"{round(float(number[0]), 1):g}"
