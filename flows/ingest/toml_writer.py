"""Text of TOML documents: fields, lists of values, and arrays of tables."""

import json
import math
import re
from collections.abc import Mapping, Sequence

Value = str | int | float | bool
Table = Mapping[str, Value | Sequence[Value]]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def format_toml(fields: Table, arrays: Mapping[str, Sequence[Table]], comment: str = "") -> str:
    """Return a TOML document.

    Parameters
    ----------
    fields
        Fields of the document itself, which come first.
    arrays
        Arrays of tables, by name.
    comment
        First line of the document.

    Raises
    ------
    ValueError
        A number is not finite.
    """
    blocks = [_format_fields(fields)] if fields else []
    blocks += [
        f"[[{_format_key(name)}]]\n{_format_fields(table)}" for name, tables in arrays.items() for table in tables
    ]
    return "\n".join([f"# {comment}\n", *blocks] if comment else blocks)


def _format_fields(fields: Table) -> str:
    return "".join(f"{_format_key(name)} = {_format_value(value)}\n" for name, value in fields.items())


def _format_key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _format_value(name)


def _format_value(value: Value | Sequence[Value]) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} in TOML; expected a finite number")
    if isinstance(value, str | int | float):
        # strings and finite numbers of JSON are valid TOML, except for DEL in a string
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(map(_format_value, value))}]"
