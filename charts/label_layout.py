"""Where the labels of a chart go: at what they name, apart from each other, and inside the frame.

All lengths are pixels of the plot: x grows to the right, y downwards.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

LINE_HEIGHT = 15  # of a label of 11 or 12 pixels

# Advance widths of Liberation Sans, which is as wide as Arial and Helvetica, in thousandths of the font size.
_WIDTHS = (
    (191, "'"), (222, "ijl"), (260, "|"), (278, " !,./:;I[\\]ft"), (333, "()-`r·²³"), (334, "{}"), (355, '"'),
    (389, "*"), (469, "^"), (500, "Jckvsxyz"), (556, "#$0123456789?L_abdeghnopqu–"), (584, "+<=>~×±−"),
    (611, "FTZ"), (667, "&ABEKPSVXY"), (722, "CDHNRUw"), (778, "GOQ"), (833, "Mm"), (889, "%"), (944, "W"),
    (1000, "—…"), (1015, "@"),
)  # fmt: skip
_BOLD_WIDTHS = (
    (238, "'"), (278, " ,./I\\ijl"), (280, "|"), (333, "!()-:;[]`ft·"), (389, "*r{}"), (474, '"'), (500, "z"),
    (556, "#$0123456789J_aceksvxy–"), (549, "±"), (584, "+<=>^~×−"), (611, "?FLTZbdghnopqu"), (667, "EPSVXY"),
    (722, "&ABCDHKNRU"), (778, "GOQw"), (833, "M"), (889, "%m"), (944, "W"), (975, "@"), (1000, "—…"),
)  # fmt: skip
_WIDTH_OF = {letter: width for width, letters in _WIDTHS for letter in letters}
_BOLD_WIDTH_OF = {letter: width for width, letters in _BOLD_WIDTHS for letter in letters}
_OTHER_WIDTH = 1000  # as wide as a letter of Chinese or Japanese
_ASCENT, _DESCENT = 0.78, 0.22  # of a line, above and below its base, in font sizes
ELLIPSIS = "…"
_GAP = 2  # pixels between two labels
_RINGS = (0, 16, 34)  # how much further from its point than right beside it a label may be, in pixels


class Box(NamedTuple):
    """A rectangle with upright sides."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Return whether the two share more than an edge."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def is_inside(self, frame: "Box") -> bool:
        """Return whether no part of it lies outside of a frame."""
        return (
            self.left >= frame.left
            and self.top >= frame.top
            and self.right <= frame.right
            and self.bottom <= frame.bottom
        )


def measure_text(text: str, size: float, *, is_bold: bool = False) -> float:
    """Return the width of the longest line of a text."""
    widths = _BOLD_WIDTH_OF if is_bold else _WIDTH_OF
    lines = text.split("\n")
    return max(sum(widths.get(letter, _OTHER_WIDTH) for letter in line) for line in lines) * size / 1000


def has_known_width(text: str) -> bool:
    """Return whether the width of each letter of a text is known."""
    return all(letter in _WIDTH_OF and letter in _BOLD_WIDTH_OF for letter in text)


def shorten_text(text: str, width: float, size: float) -> str:
    """Return a text of at most this width: where it is longer, an ellipsis takes the place of its middle."""
    if measure_text(text, size) <= width:
        return text
    kept = len(text) - 1
    while kept > 1:
        start = (kept + 1) // 2
        shorter = text[:start].rstrip() + ELLIPSIS + text[len(text) - (kept - start) :].lstrip()
        if measure_text(shorter, size) <= width:
            return shorter
        kept -= 1
    return ELLIPSIS


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Move sorted positions apart, as little as possible, until neighbours are at least `gap` apart."""
    clusters: list[tuple[float, int]] = []  # centre and size; the members lie evenly about the centre
    for position in positions:
        centre, size = position, 1
        while clusters and centre - gap * (size - 1) / 2 < _find_end(clusters[-1], gap) + gap:
            other, count = clusters.pop()
            centre, size = (centre * size + other * count) / (size + count), size + count
        clusters.append((centre, size))
    return [centre + gap * (i - (size - 1) / 2) for centre, size in clusters for i in range(size)]


def spread_between(positions: Sequence[float], gap: float, first: float, last: float) -> list[float]:
    """Move sorted positions apart as `spread` does, but not beyond `first` and `last`, where there is room for all."""
    placed = spread(positions, gap)
    places = range(len(placed))
    floor = [max(place, first + gap * i) for i, place in zip(places, placed, strict=True)]
    return [min(place, last - gap * (len(placed) - 1 - i)) for i, place in zip(places, floor, strict=True)]


class Layout:
    """The labels of one plot: what is placed keeps its place, and what comes later goes around it.

    Attributes
    ----------
    frame
        The plot.
    labels
        The boxes of what was placed: one for each label that is level, and several along a slope.
    """

    def __init__(self, width: float, height: float) -> None:
        self.frame = Box(0, 0, width, height)
        self.labels: list[Box] = []
        self._marks: list[Box] = []
        self._lines: list[tuple[float, float, float, float]] = []

    def add_mark(self, x: float, y: float, radius: float) -> None:
        """Keep labels off a mark, if there is room elsewhere."""
        self._marks.append(Box(x - radius, y - radius, x + radius, y + radius))

    def add_line(self, x: float, y: float, x2: float, y2: float) -> None:
        """Keep labels off a line, if there is room elsewhere."""
        self._lines.append((x, y, x2, y2))

    def place(self, boxes: Iterable[Box]) -> bool:
        """Take the boxes of a label, if they are inside the frame and free."""
        taken = list(boxes)
        if not all(self._is_free(box) for box in taken):
            return False
        self.labels += taken
        return True

    def place_beside(
        self, x: float, y: float, text: str, size: float, radius: float, *, is_near: bool = False
    ) -> Box | None:
        """Take the best free place around a point for a label, near ones and those that hide nothing first.

        Parameters
        ----------
        radius
            Pixels between the point and its label.
        is_near
            Whether only the eight places right beside the point will do.

        Returns
        -------
        The box of the label, or None if there is no room.
        """
        width, height = measure_text(text, size), LINE_HEIGHT * (text.count("\n") + 1)
        best, least = None, math.inf
        for cost, box in _list_places(x, y, width, height, _RINGS[:1] if is_near else _RINGS, radius):
            if cost < least and self._is_free(box):
                hidden = 3 * sum(box.overlaps(mark) for mark in self._marks)
                # a line through the letters is worse than one across them
                crossed = sum(2 if line[1] == line[3] else 1 for line in self._lines if _crosses(line, box))
                if cost + hidden + crossed < least:
                    best, least = box, cost + hidden + crossed
        if best is not None:
            self.labels.append(best)
        return best

    def _is_free(self, box: Box) -> bool:
        around = Box(box.left - _GAP, box.top, box.right + _GAP, box.bottom)
        return box.is_inside(self.frame) and not any(around.overlaps(label) for label in self.labels)


def box_of_text(x: float, y: float, text: str, size: float, align: str = "left") -> Box:
    """Return the box of a line of text at a position in its middle height."""
    width = measure_text(text, size)
    left = x - {"left": 0.0, "center": width / 2, "right": width}[align]
    half = size * (_ASCENT + _DESCENT) / 2
    return Box(left, y - half, left + width, y + half)


def boxes_along(x: float, y: float, text: str, size: float, angle: float) -> list[Box]:
    """Return upright boxes that cover a text which begins at a position in its middle height, and rises by an angle.

    Parameters
    ----------
    angle
        In radians, counter-clockwise.
    """
    width, half = measure_text(text, size), size * (_ASCENT + _DESCENT) / 2
    count = max(1, math.ceil(width / size))
    step = width / count
    reach_x = (step * math.cos(angle) + size * math.sin(angle)) / 2
    reach_y = (step * math.sin(angle) + 2 * half * math.cos(angle)) / 2
    middles = ((i + 0.5) * step for i in range(count))
    centres = [(x + along * math.cos(angle), y - along * math.sin(angle)) for along in middles]
    return [Box(cx - reach_x, cy - reach_y, cx + reach_x, cy + reach_y) for cx, cy in centres]


def _find_end(cluster: tuple[float, int], gap: float) -> float:
    centre, size = cluster
    return centre + gap * (size - 1) / 2


def _list_places(
    x: float, y: float, width: float, height: float, rings: Sequence[float], radius: float
) -> Iterator[tuple[float, Box]]:
    """Yield boxes around a point, each with what it costs: eight right beside it, and others further away."""
    for ring, further in enumerate(rings):
        away = radius + further
        slant = 0.7 * away
        corners = (
            (x + slant, y + slant), (x + away, y - height / 2), (x - slant - width, y - slant - height),
            (x - away - width, y - height / 2), (x + slant, y - slant - height), (x - slant - width, y + slant),
            (x - width / 2, y - away - height), (x - width / 2, y + away),
        )  # fmt: skip
        for turn, (left, top) in enumerate(corners):
            yield 2.5 * ring + 0.1 * turn, Box(left, top, left + width, top + height)


def _crosses(line: tuple[float, float, float, float], box: Box) -> bool:
    """Return whether a straight line runs through a box, by Liang and Barsky's rule."""
    x, y, x2, y2 = line
    enter, leave = 0.0, 1.0
    for step, low, high in ((x2 - x, box.left - x, box.right - x), (y2 - y, box.top - y, box.bottom - y)):
        if step == 0:
            if low > 0 or high < 0:
                return False
            continue
        near, far = sorted((low / step, high / step))
        enter, leave = max(enter, near), min(leave, far)
    return enter < leave
