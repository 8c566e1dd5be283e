"""Entries that are about to enter the user's catalog, and the given files that hold them."""

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from flows.ingest.document import format_value
from flows.ingest.kinds import CATALOG_KINDS
from flows.ingest.limits import HEAD_BYTES, refuse_too_large, refuse_utf_16
from flows.ingest.source_file import SourceFile, digest_of_file
from warehouse.errors import InputError


@dataclass(frozen=True)
class Entry:
    """A file that is about to enter the catalog."""

    entry_id: str
    suffix: str
    origin: Path  # what messages name
    content: bytes = b""
    stored_at: Path | None = None  # the file that holds the content, if it may be large
    note: str = ""  # what users are told of it


@dataclass(frozen=True)
class NewSource(SourceFile):
    """An entry as a source, before the catalog has a file of it."""

    entry: Entry

    @classmethod
    def from_entry(cls, entry: Entry, kind: str) -> "NewSource":
        """Return an entry as a source of its kind."""
        file = entry.stored_at
        digest = digest_of_file(file) if file else sha256(entry.content).hexdigest()
        size = file.stat().st_size if file else len(entry.content)
        path = entry.origin
        if path.suffix != entry.suffix:  # one of many in a table
            path = path.with_name(f"{path.name}:{entry.entry_id}{entry.suffix}")
        names = (f"new/{kind}/{entry.entry_id}", kind, entry.entry_id, path, os.fspath(path))
        return cls(*names, digest, size, CATALOG_KINDS[kind].has_file_per_entry, entry)

    @property
    def stored_at(self) -> Path:
        """The file that holds the bytes."""
        return self.entry.stored_at or self.path

    def read_bytes(self) -> bytes:
        """Return the entry's bytes."""
        return self.entry.content


def inspect_file(path: Path, kind: str, *, takes_utf_16: bool = False) -> SourceFile:
    """Return a given file as a source of a kind.

    Raises
    ------
    InputError
        It is not a readable file, is too large, or is text in UTF-16 and `takes_utf_16` is false.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"{path}: expected a file")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; expected a file") from None
    except ValueError as error:  # a null byte
        raise InputError(f"{format_value(str(path))}: {error}; expected a file") from None
    row = CATALOG_KINDS[kind]
    refuse_too_large(path, size, row.max_bytes)
    if not takes_utf_16:
        refuse_utf_16(head, path)
    source_id, digest = f"new/{kind}/{path.stem}", digest_of_file(path)
    return SourceFile(source_id, kind, path.stem, path, path.name, digest, size, row.has_file_per_entry)
