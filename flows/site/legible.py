"""How a person writes a number. charts/pages/numbers.js is the same for tooltips."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

_PREFIXES = "pnµm kMGTPE"
_LEAST, _GROUPED, _MOST = 1e-4, 1e3, 1e15  # numbers below the first or from the last on have an exponent
_UNITS = {  # by the end of a column's name
    "flops_per_s": "FLOP/s",
    "bytes_per_s": "B/s",
    "flops_per_joule": "FLOP/J",
    "bytes_per_token": "B",
    "w": "W",
    "flops": "FLOP",
    "bytes": "B",
    "fraction": "%",
    "share": "%",
    "error": "%",
}
_SECONDS = ("_s", "seconds")
# columns of numbers with their unit, which sql/site writes as texts
_WRITTEN = {"value", "below the greatest", "median share of the roof", "10th percentile", "90th percentile"}
_ABBREVIATED = re.compile(r"\b(tdp|l2|kv|mtp|id)\b")


def write_cell(value: Any, column: str) -> Any:
    """Return a number as text, in the unit that the column's name ends in; return anything else unchanged.

    >>> write_cell(989.4e12, "peak_flops_per_s"), write_cell(48250, "batch_size"), write_cell(0.1, "intensity")
    ('989.4 TFLOP/s', '48,250', '0.1')
    """
    return write_number(value, find_unit(column)) if _is_number(value) and math.isfinite(value) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def list_figures(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns of a table that have numbers and nothing else, also those that the query wrote as texts.

    >>> list_figures([{"dtype": "fp8", "value": "2 PFLOP/s", "batch": 8}, {"dtype": "", "value": "", "batch": None}])
    ['value', 'batch']
    """
    figures = []
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows if row[name] is not None]
        if name in _WRITTEN or (values and all(map(_is_number, values))):
            figures.append(name)
    return figures


def write_heading(column: str) -> str:
    """Return the name of a column as a heading.

    >>> write_heading("l2_cache"), write_heading("kv_heads")
    ('L2 cache', 'KV heads')
    """
    return _ABBREVIATED.sub(lambda found: found[0].upper(), column.replace("_", " "))


def find_unit(column: str) -> str:
    """Return the unit of a column: "" if it has none, "%" if it is a share."""
    name = column.replace(" ", "_")
    for end, unit in _UNITS.items():
        if name == end or name.endswith(f"_{end}"):
            return unit
    return "s" if name.endswith(_SECONDS) and not name.endswith("_per_s") else ""


def write_number(value: float, unit: str = "") -> str:
    """Return a number with four digits, or more if it is a thousand or more, and with the prefix of its unit."""
    if unit == "":
        return _write_plain(value)
    if unit == "%":
        return f"{_write_plain(100 * value)}%"
    shown = abs(float(f"{value:.4g}"))
    most = 0 if unit == "s" else 6  # nobody writes kiloseconds
    step = max(-4, min(most, math.floor(math.log10(shown) / 3 + 1e-9))) if shown else 0
    return f"{_write_plain(value / 1000.0**step)} {_PREFIXES[step + 4].strip()}{unit}"


def _write_plain(value: float) -> str:
    if _GROUPED <= abs(value) < _MOST:
        return f"{value:,.0f}"
    if value == 0 or _LEAST <= abs(value) < _GROUPED:
        return f"{float(f'{value:.4g}'):,g}"
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
