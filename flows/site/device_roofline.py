"""The roofline at the head of a device's page: its roofs with their values, as shapes of an SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from charts.label_layout import LINE_HEIGHT, measure_text, spread_between
from flows.site.legible import write_number
from flows.site.site_rows import Row

WIDE, NARROW, HEIGHT = 860, 358, 360  # pixels; the narrow one is for telephones
_SIZE = 12  # of text, in pixels
_LEFT, _TOP, _BOTTOM = 62, 14, 46  # around the plot
_GAP = 8  # between the end of a roof and its label, which is beside it, or above it if the picture is narrow
_WIDEST_FONT = 1.3  # of the fonts that a reader may have, as a share of the one that is measured
_DECADES_LEFT, _DECADES_RIGHT = 1.3, 0.8  # of the plot beside the least and the greatest ridge


@dataclass(frozen=True)
class Roof:
    """One roof, in pixels: the points of its line, its ridge, its label and the place of that."""

    line: str
    ridge: tuple[float, float]
    label: str
    label_at: tuple[float, float]
    is_main: bool


@dataclass(frozen=True)
class Slope:
    """The label along the bandwidth: its position in pixels, and its angle in degrees."""

    label: str
    at: tuple[float, float]
    angle: float


@dataclass(frozen=True)
class DeviceRoofline:
    """What the page draws: roofs, the slope's label, ticks with their places in pixels, and a description."""

    roofs: tuple[Roof, ...]
    slope: Slope
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    plot: tuple[float, float, float, float]
    description: str
    width: int
    height: int = HEIGHT


def lay_out_roofline(device: str, lines: Sequence[Row], width: int) -> DeviceRoofline | None:
    """Return the roofline of a device, or None if it has no roof.

    Parameters
    ----------
    device
        Its short name.
    lines
        The device's rows of sql/site/device_lines.sql, the greatest peak first.
    width
        `WIDE` or `NARROW`.
    """
    if not lines:
        return None
    bandwidth = lines[0]["bandwidth_bytes_per_s"]
    ridges = [row["ridge_flops_per_byte"] for row in lines]
    labels = [_write_label(row) for row in lines]
    beside = _GAP + _WIDEST_FONT * max(measure_text(label, _SIZE) for label in labels) if width == WIDE else 0
    right = width - beside
    lowest_x, highest_x = math.log10(min(ridges)) - _DECADES_LEFT, math.log10(max(ridges)) + _DECADES_RIGHT
    lowest_y = math.log10(bandwidth) + lowest_x
    highest_y = math.log10(lines[0]["peak_flops_per_s"]) + 0.15
    x_scale = (right - _LEFT) / (highest_x - lowest_x)
    y_scale = (HEIGHT - _TOP - _BOTTOM) / (highest_y - lowest_y)

    def place(intensity: float, performance: float) -> tuple[float, float]:
        x = _LEFT + (math.log10(intensity) - lowest_x) * x_scale
        return round(x, 1), round(HEIGHT - _BOTTOM - (math.log10(performance) - lowest_y) * y_scale, 1)

    main = lines.index(find_main(lines) or lines[0])
    ends = [place(10**highest_x, row["peak_flops_per_s"]) for row in lines]
    raised = 0 if width == WIDE else _GAP
    heights = spread_between([y - raised for _, y in ends], LINE_HEIGHT, _TOP, HEIGHT - _BOTTOM)
    roofs = []
    for number, (row, end, height, label) in enumerate(zip(lines, ends, heights, labels, strict=True)):
        ridge = place(row["ridge_flops_per_byte"], row["peak_flops_per_s"])
        points = (place(10**lowest_x, bandwidth * 10**lowest_x), ridge, end)
        line = " ".join(f"{x:g},{y:g}" for x, y in points)
        roofs.append(
            Roof(line, ridge, label, (round(end[0] + _GAP if beside else end[0], 1), round(height, 1)), number == main)
        )
    return DeviceRoofline(
        roofs=(*(roof for roof in roofs if not roof.is_main), roofs[main]),
        slope=_label_slope(bandwidth, roofs[-1], y_scale / x_scale),
        x_ticks=tuple((place(10.0**n, 10**lowest_y)[0], f"{10.0**n:,g}") for n in _decades(lowest_x, highest_x)),
        y_ticks=tuple(
            (place(10**lowest_x, 10.0**n)[1], write_number(10.0**n, "FLOP/s").removesuffix("FLOP/s").replace(" ", ""))
            for n in _decades(lowest_y, highest_y)
        ),
        plot=(_LEFT, _TOP, round(right, 1), HEIGHT - _BOTTOM),
        description=f"Roofline of {device}: {write_number(bandwidth, 'B/s')}; " + "; ".join(labels),
        width=width,
    )  # fmt: skip


def find_main(lines: Sequence[Row]) -> Row | None:
    """Return the main roof of a device: that of half precision, else the highest, else None."""
    return next((row for row in lines if row["is_half"]), lines[0] if lines else None)


def _write_label(row: Row) -> str:
    return f"{row['dtypes']} · {write_number(row['peak_flops_per_s'], 'OP/s' if row['is_integer'] else 'FLOP/s')}"


def _label_slope(bandwidth: float, lowest: Roof, steepness: float) -> Slope:
    """Return the label above the middle of the slope, below the first ridge."""
    left, top = (float(number) for number in lowest.line.split(" ", 1)[0].split(","))
    x, y = (left + lowest.ridge[0]) / 2, (top + lowest.ridge[1]) / 2
    return Slope(
        write_number(bandwidth, "B/s"), (round(x, 1), round(y, 1)), round(-math.degrees(math.atan(steepness)), 2)
    )


def _decades(low: float, high: float) -> range:
    return range(math.ceil(low), math.floor(high) + 1)
