"""What a foreign file may be at most: what is larger is refused before it takes time or memory."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from warehouse.errors import InputError, one_line

# kind of file -> its most bytes; measurements are read some rows at a time
_MOST_BYTES: dict[str, int | None] = {"ops": 50_000_000, "measurement": None}
_MOST_BYTES_OF_OTHERS = 1_000_000
MOST_OPS = 100_000  # of a file
MOST_DEVICES = 2_000  # of a table
MOST_COLUMNS = 1_000  # of a table
DEEPEST = 100  # of lists and tables in each other
HEAD = 64  # bytes that tell an encoding
LONGEST_LINE = 2**24  # bytes, of a table of any size
LONGEST_TEXT = 1_000_000  # bytes, of a JSON text of any size
MOST_UNPACKED = 100  # times the bytes of a gzip; traces have 10 to 30
SMALL = 20_000_000  # bytes that a gzip may unpack to whatever its size

_PARTS = re.compile(r"[=\n]")
_SHOWN = 60  # characters of a text that a message repeats
# an escape of UTF-16 without the other that belongs to it
_HALF_CHARACTER = re.compile(
    rb"(?<!\\)(?:\\\\)*(?:\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F])", re.DOTALL
)
_SIGN = re.compile(rb'"(?:[^"\\]|\\.)*+"(\s*+:)?|[][{}]', re.DOTALL)


def refuse_too_large(kind: str, path: Path, size_bytes: int) -> None:
    """Raise `InputError` where a file is larger than a run reads of its kind."""
    most = _MOST_BYTES.get(kind, _MOST_BYTES_OF_OTHERS)
    if most is not None and size_bytes > most:
        raise InputError(f"{path}: {size_bytes} bytes; expected at most {most}")


def refuse_bad_json(content: bytes, path: Path) -> None:
    """Raise `InputError` where a JSON text is no list of ops: deep, with very many objects or names, or a name twice.

    Half a character, which polars would make another of, is refused too.
    """
    objects, name = 0, b""
    names: set[bytes] = set()
    opened: list[set[bytes]] = []  # the names of each object that is not closed yet
    for found in _SIGN.finditer(content):
        sign = found[0]
        if found[1]:
            name = sign[: -len(found[1])]
            names.add(name)
            if opened and name in opened[-1]:
                raise InputError(f"{path}: {_quote_token(name)} stands twice in row {objects - 1}; expected it once")
            if opened:
                opened[-1].add(name)
        elif sign in (b"[", b"{"):
            objects += 1
            opened.append(set())
        elif sign in (b"]", b"}"):
            del opened[-1:]
        if b"\\u" in sign and _HALF_CHARACTER.search(sign):
            raise InputError(f"{path}: {_quote_token(name)} = {_quote_token(sign)}: half a character; expected a text")
        if len(opened) > DEEPEST:
            raise InputError(f"{path}: nested too deeply; expected a list of objects")
        if objects > MOST_OPS + 1:
            raise InputError(f"{path}: more than {MOST_OPS} lists and objects; expected one a row")
        if len(names) > MOST_COLUMNS:
            raise InputError(f"{path}: more than {MOST_COLUMNS} names; expected those of columns")


def _quote_token(token: bytes) -> str:
    text = one_line(token.decode("utf-8", "replace").strip('" '))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def refuse_utf_16(head: bytes, path: Path) -> None:
    """Raise `InputError` where the first bytes are those of a text in UTF-16, as Excel and PowerShell write it."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\0" in head[:HEAD]:  # bytes of a program may begin alike
        raise InputError(f"{path}: a text in UTF-16; expected UTF-8 (in PowerShell, `| Out-File -Encoding utf8`)")


def refuse_long_keys(text: str, path: Path) -> None:
    """Raise `InputError` where a key of TOML has very many parts, which takes time by the square of them."""
    if max(part.count(".") for part in _PARTS.split(text)) > 2 * DEEPEST:
        raise InputError(f"{path}: nested too deeply; expected a plain document")


def refuse_long_lines(path: Path) -> None:
    """Raise `InputError` where a CSV of any size has a line that is no row of a table, or is UTF-16."""
    with path.open("rb") as file:
        while block := file.read(LONGEST_LINE):
            if file.tell() == len(block):
                refuse_utf_16(block[:HEAD], path)
            if len(block) == LONGEST_LINE and b"\n" not in block:
                raise InputError(f"{path}: a line of more than {LONGEST_LINE} bytes; expected a table")


def refuse_inflated(path: Path, table: pl.LazyFrame, size_bytes: int) -> None:
    """Raise `InputError` where a Parquet file says that it holds more rows than bytes: they would be all the same."""
    rows = table.select(pl.len()).collect().item()
    if rows > max(size_bytes, 1):
        raise InputError(f"{path}: {rows} rows in {size_bytes} bytes; expected rows that differ")


@contextmanager
def silence_panics() -> Iterator[None]:
    """Keep off the terminal what polars prints there itself of a broken Parquet file; what it raises says the same."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
