"""Text that other tools print: read whole, within limits."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from flows.ingest.document import format_value
from flows.ingest.limits import refuse_too_large, refuse_utf_16
from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError

_MOST_BYTES = 50_000_000
_HEAD_BYTES = 262_144
_MOST_LETTERS = 200  # of a name


def begins_like(test: Callable[[str], bool]) -> Callable[[Path], bool]:
    """Return whether the beginning of a file, as text, passes a test."""

    def search(path: Path) -> bool:
        with path.open("rb") as file:
            return test(file.read(_HEAD_BYTES).decode("utf-8", "replace"))

    return search


def read_lines(source: SourceFile) -> list[str]:
    """Return the lines of a file; bytes that are no UTF-8 become U+FFFD.

    Raises
    ------
    InputError
        The file is too large, or in UTF-16.
    """
    refuse_too_large(source.path, source.size_bytes, _MOST_BYTES)
    content = source.read_bytes()
    refuse_utf_16(content[:64], source.path)
    return content.decode("utf-8-sig", "replace").splitlines()


def read_number(text: str, what: str, path: Path) -> float:
    """Return a number of a file; raise `InputError` if it is none, or negative."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise InputError(f"{path}: {what} = {format_value(text)}: expected a number, 0 or more")
    return number


def clean_name(text: str) -> str:
    """Return a name as one line of text without control characters."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(plain.split())[:_MOST_LETTERS]


def refuse_empty(path: Path, expected: str) -> NoReturn:
    """Raise `InputError` for a file in which nothing was found."""
    raise InputError(f"{path}: nothing to read; expected {expected}")
