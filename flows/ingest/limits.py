"""Limits of input files: what exceeds them is refused before it takes time or memory."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from warehouse.errors import InputError, one_line

MAX_BYTES = 1_000_000  # of a file, unless its kind says otherwise
MAX_OPS = 100_000  # in a file
MAX_DEVICES = 2_000  # in a table
MAX_COLUMNS = 1_000  # of a table
MAX_DEPTH = 100  # of nested lists and tables
MAX_LINE_BYTES = 2**24  # in a table of any size
MAX_UNPACK_RATIO = 100  # of a gzip file; traces have 10 to 30
UNPACK_BYTES = 20_000_000  # that a gzip file of any size may unpack to
HEAD_BYTES = 64  # enough to tell the encoding

_SHOWN = 60  # characters of a value that a message quotes
_KEY_SEPARATORS = re.compile(r"[=\n]")
_UNPAIRED_SURROGATE = re.compile(
    rb"(?<!\\)(?:\\\\)*(?:\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F])", re.DOTALL
)
_JSON_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"(\s*+:)?|[][{}]', re.DOTALL)

# what polars raises for a file that it cannot read; OSError if the bytes begin like a compressed file
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)


def refuse_too_large(path: Path, size_bytes: int, max_bytes: int | None) -> None:
    """Raise `InputError` if a file is larger than a run reads."""
    if max_bytes is not None and size_bytes > max_bytes:
        raise InputError(f"{path}: {size_bytes} bytes; expected at most {max_bytes}")


def refuse_bad_json(content: bytes, path: Path) -> None:
    """Raise `InputError` if JSON cannot be a list of ops.

    That is JSON that is deeply nested, has too many objects or names, or repeats a name in an object. Unpaired
    surrogates are refused too, because polars would replace them.
    """
    objects, name = 0, b""
    names: set[bytes] = set()
    opened: list[set[bytes]] = []  # names in each object that is not closed yet
    for found in _JSON_TOKEN.finditer(content):
        token = found[0]
        if found[1]:
            name = token[: -len(found[1])]
            names.add(name)
            if opened and name in opened[-1]:
                raise InputError(f"{path}: {_quote_token(name)} occurs twice in row {objects - 1}; expected it once")
            if opened:
                opened[-1].add(name)
        elif token in (b"[", b"{"):
            objects += 1
            opened.append(set())
        elif token in (b"]", b"}"):
            del opened[-1:]
        if b"\\u" in token and _UNPAIRED_SURROGATE.search(token):
            where = f"{_quote_token(name)} = {_quote_token(token)}"
            raise InputError(f"{path}: {where}: unpaired surrogate; expected text")
        if len(opened) > MAX_DEPTH:
            raise InputError(f"{path}: nested too deeply; expected a list of objects")
        if objects > MAX_OPS + 1:
            raise InputError(f"{path}: more than {MAX_OPS} lists and objects; expected one per row")
        if len(names) > MAX_COLUMNS:
            raise InputError(f"{path}: more than {MAX_COLUMNS} names; expected names of columns")


def _quote_token(token: bytes) -> str:
    text = one_line(token.decode("utf-8", "replace").strip('" '))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def refuse_utf_16(head: bytes, path: Path) -> None:
    """Raise `InputError` if the first bytes of a file are UTF-16 text, as Excel and PowerShell write it."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\0" in head[:HEAD_BYTES]:  # binary files may start alike
        raise InputError(f"{path}: text in UTF-16; expected UTF-8 (in PowerShell, `| Out-File -Encoding utf8`)")


def refuse_long_keys(text: str, path: Path) -> None:
    """Raise `InputError` if a TOML key has very many parts: parsing takes time quadratic in their number."""
    if max(part.count(".") for part in _KEY_SEPARATORS.split(text)) > 2 * MAX_DEPTH:
        raise InputError(f"{path}: nested too deeply; expected a plain document")


def refuse_long_lines(path: Path) -> None:
    """Raise `InputError` if a CSV of any size is UTF-16, or has a line too long for a table."""
    with path.open("rb") as file:
        while block := file.read(MAX_LINE_BYTES):
            if file.tell() == len(block):
                refuse_utf_16(block[:HEAD_BYTES], path)
            if len(block) == MAX_LINE_BYTES and b"\n" not in block:
                raise InputError(f"{path}: a line of more than {MAX_LINE_BYTES} bytes; expected a table")


def refuse_inflated(path: Path, table: pl.LazyFrame, size_bytes: int) -> None:
    """Raise `InputError` if a Parquet file claims more rows than it has bytes: all rows would be equal."""
    rows = table.select(pl.len()).collect().item()
    if rows > max(size_bytes, 1):
        raise InputError(f"{path}: {rows} rows in {size_bytes} bytes; expected rows that differ")


@contextmanager
def silence_panics() -> Iterator[None]:
    """Hide what polars prints about a broken Parquet file; the exception that it raises says the same."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
