"""Values, identifiers and file names in SQL text.

Values are bound as parameters if DuckDB allows it. `quote_value` is for statements that take none (`attach`, `set`,
`comment`) and, through `write_values`, for text that must stand alone: views and the queries of charts.
"""

import re
from collections.abc import Iterable, Mapping

_PARAMETER = re.compile(r"\$([a-z_]+)")
_ONE_OF = re.compile(r"\b(not )?in \(\$([a-z_]+)\)")


class OneOf(tuple[object, ...]):
    """The values between the brackets of `in ($name)`, where a single value may stand as well."""


def file_pattern(path: object) -> str:
    """Return the pattern that matches one file and no other in DuckDB's functions that read files."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def quote_value(value: object) -> str:
    """Return a value as a SQL literal."""
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return repr(value).lower()
    if isinstance(value, OneOf):
        return ", ".join(map(quote_value, value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(quote_value, value))}]"
    return "'" + str(value).replace("'", "''") + "'"


def quote_name(*path: str) -> str:
    """Return an identifier, qualified if several names are given, as in `quote_name("core", "run")`."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in path)


def quote_names(names: Iterable[str]) -> str:
    """Return identifiers with commas between them."""
    return ", ".join(map(quote_name, names))


def write_values(sql: str, values: Mapping[str, object]) -> str:
    """Return a statement with literals instead of its `$names`.

    `in ($name)` is an equality if the value is a single one: DuckDB 1.5.5 fails to plan the points of some devices with
    the other, since it does not know then that all rows have the same value.

    Raises
    ------
    KeyError
        A value is missing.
    """
    sql = _ONE_OF.sub(lambda found: found[0] if _is_several(values[found[2]]) else _write_equality(found), sql)
    return _PARAMETER.sub(lambda found: quote_value(values[found[1]]), sql)


def _is_several(value: object) -> bool:
    return isinstance(value, OneOf) and len(value) != 1


def _write_equality(found: re.Match[str]) -> str:
    return f"{'<>' if found[1] else '='} ${found[2]}"


def find_parameters(sql: str) -> set[str]:
    """Return the `$names` in a statement."""
    return set(_PARAMETER.findall(sql))
