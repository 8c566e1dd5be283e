"""Values, names and paths as SQL text."""

import re

from warehouse.files.bucket import Location


def file_pattern(path: Location) -> str:
    """Return the pattern that means one file and no other to a DuckDB function that reads files."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def quote_value(value: object) -> str:
    """Write a value as a SQL literal."""
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return repr(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(quote_value, value))}]"
    return "'" + str(value).replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """Write a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
