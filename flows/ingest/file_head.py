"""The beginning of a file: as much as is needed to recognize its kind."""

import gzip
import tomllib
import zlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from flows.ingest.limits import MAX_BYTES, UNREADABLE, refuse_long_keys, refuse_too_large, refuse_utf_16, silence_panics
from warehouse.errors import InputError, one_line

_HEAD_BYTES = 65_536


@dataclass(frozen=True)
class FileHead:
    """What the beginning of a file shows; a file has only the part that suits its format."""

    keys: frozenset[str] = frozenset()  # top-level keys of TOML
    json: str = ""  # first characters of JSON
    columns: frozenset[str] = frozenset()  # of a table: CSV, Parquet or Markdown

    def has_json_key(self, key: str) -> bool:
        """Return whether a key occurs among the first characters of JSON."""
        return f'"{key}"' in self.json


def read_file_head(path: Path) -> FileHead:
    """Return the beginning of a file; nothing for a format that no kind has.

    Raises
    ------
    InputError
        The path is not a file, or the file is broken.
    """
    name = path.name.lower()
    if not path.is_file():
        raise InputError(f"{path}: expected a file")
    if name.endswith(".toml"):
        return FileHead(keys=_read_toml_keys(path))
    if name.endswith((".json", ".json.gz", ".jsonl")):
        return FileHead(json=_read_text(path))
    if name.endswith(".md"):
        lines = _read_text(path).splitlines()
        return FileHead(columns=frozenset(cell.strip() for cell in next((x for x in lines if "|" in x), "").split("|")))
    if name.endswith((".csv", ".parquet")):
        return FileHead(columns=_read_columns(path))
    return FileHead()


def _read_toml_keys(path: Path) -> frozenset[str]:
    try:
        refuse_too_large(path, path.stat().st_size, MAX_BYTES)
        content = path.read_bytes()
        refuse_utf_16(content, path)
        text = content.decode("utf-8-sig")
        refuse_long_keys(text, path)
        return frozenset(tomllib.loads(text))
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: broken TOML: {one_line(error)}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply; expected a plain document") from None


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file, gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file as content:
            head = content.read(_HEAD_BYTES)
            refuse_utf_16(head, path)
            return head.decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: {one_line(error)}; expected a readable file") from None


def _read_columns(path: Path) -> frozenset[str]:
    try:
        if path.suffix.lower() == ".parquet":
            with silence_panics():
                return frozenset(pl.read_parquet_schema(path))
        lines = [line for line in _read_text(path).splitlines() if not line.startswith("==")]  # messages of ncu
        header = next((line for line in lines if line.strip()), "")
        return frozenset(column.strip().strip('"') for column in header.removeprefix("\ufeff").split(","))
    except UNREADABLE as error:
        raise InputError(f"{path}: {one_line(error)}; expected a readable table") from None
