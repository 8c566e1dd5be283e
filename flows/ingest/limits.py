"""What a foreign file may be at most: what is larger is refused before it takes time or memory."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from warehouse.errors import InputError

# kind of file -> its most bytes; measurements are read some rows at a time
_MOST_BYTES: dict[str, int | None] = {"ops": 50_000_000, "measurement": None}
_MOST_BYTES_OF_OTHERS = 1_000_000
MOST_OPS = 100_000  # of a file
MOST_DEVICES = 2_000  # of a table
MOST_COLUMNS = 1_000  # of a table
DEEPEST = 100  # of lists and tables in each other
LONGEST_LINE = 2**24  # bytes, of a table of any size
LONGEST_TEXT = 1_000_000  # bytes, of a JSON text of any size
MOST_UNPACKED = 100  # times the bytes of a gzip; traces have 10 to 30
SMALL = 20_000_000  # bytes that a gzip may unpack to whatever its size

_PARTS = re.compile(r"[=\n]")
_SIGN = re.compile(rb'"(?:[^"\\]|\\.)*+"(\s*+:)?|[][{}]', re.DOTALL)


def refuse_too_large(kind: str, path: Path, size_bytes: int) -> None:
    """Raise `InputError` where a file is larger than a run reads of its kind."""
    most = _MOST_BYTES.get(kind, _MOST_BYTES_OF_OTHERS)
    if most is not None and size_bytes > most:
        raise InputError(f"{path}: {size_bytes} bytes; expected at most {most}")


def refuse_odd_json(content: bytes, path: Path) -> None:
    """Raise `InputError` where a JSON text is no list of ops: deep, with very many objects or names."""
    depth, objects = 0, 0
    names: set[bytes] = set()
    for found in _SIGN.finditer(content):
        sign = found[0]
        if found[1]:
            names.add(sign)
        elif sign in (b"[", b"{"):
            depth, objects = depth + 1, objects + 1
        elif sign in (b"]", b"}"):
            depth -= 1
        if depth > DEEPEST:
            raise InputError(f"{path}: nested too deeply; expected a list of objects")
        if objects > MOST_OPS + 1:
            raise InputError(f"{path}: more than {MOST_OPS} lists and objects; expected one a row")
        if len(names) > MOST_COLUMNS:
            raise InputError(f"{path}: more than {MOST_COLUMNS} names; expected those of columns")


def refuse_long_keys(text: str, path: Path) -> None:
    """Raise `InputError` where a key of TOML has very many parts, which takes time by the square of them."""
    if max(part.count(".") for part in _PARTS.split(text)) > 2 * DEEPEST:
        raise InputError(f"{path}: nested too deeply; expected a plain document")


def refuse_long_lines(path: Path) -> None:
    """Raise `InputError` where a CSV of any size has a line that is no row of a table."""
    with path.open("rb") as file:
        while block := file.read(LONGEST_LINE):
            if len(block) == LONGEST_LINE and b"\n" not in block:
                raise InputError(f"{path}: a line of more than {LONGEST_LINE} bytes; expected a table")


def refuse_inflated(path: Path, table: pl.LazyFrame, size_bytes: int) -> None:
    """Raise `InputError` where a Parquet file says that it holds more rows than bytes: they would be all the same."""
    rows = table.select(pl.len()).collect().item()
    if rows > max(size_bytes, 1):
        raise InputError(f"{path}: {rows} rows in {size_bytes} bytes; expected rows that differ")


@contextmanager
def quiet_panics() -> Iterator[None]:
    """Keep off the terminal what polars prints there itself of a broken Parquet file; what it raises says the same."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
