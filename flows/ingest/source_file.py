"""Input files as a run sees them: what each is, and the digest of the bytes that were listed."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from warehouse.digest import digest_of
from warehouse.errors import InputError


@dataclass(frozen=True)
class SourceFile:
    """One input file."""

    source_id: str
    kind: str
    entry_id: str
    path: Path  # what messages name
    display_path: str  # what core.source shows, the same on every machine
    sha256: str
    size_bytes: int
    is_named_after_entry: bool  # its name is the id of its one entry; or else it holds a list of entries

    @property
    def stored_at(self) -> Path:
        """The file that holds the bytes."""
        return self.path

    def read_bytes(self) -> bytes:
        """Return the bytes that were listed.

        Raises
        ------
        InputError
            The file can no longer be read, or has changed.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror or error}") from None
        if hashlib.sha256(content).hexdigest() != self.sha256:
            self._raise_changed()
        return content

    def refuse_change(self) -> None:
        """Raise `InputError` if the file no longer holds the bytes that were listed."""
        if digest_of_file(self.stored_at) != self.sha256:
            self._raise_changed()

    def _raise_changed(self) -> NoReturn:
        raise InputError(f"{self.path}: changed while the run was reading it; run again")


def digest_of_sources(sources: Iterable[SourceFile]) -> str:
    """Return one digest of the names and contents of several files."""
    return digest_of(f"{s.source_id} {s.display_path} {s.sha256}" for s in sources)


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file of any size."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe could block, and a device may never end
            raise InputError(f"{path}: cannot be read: not a file; expected a file or a link to one")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
