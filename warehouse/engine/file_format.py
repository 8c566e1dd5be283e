"""Facts about the file of a DuckDB database, from its bytes and locks: code that deletes never decides on a message."""

from pathlib import Path

import duckdb

from warehouse.errors import InputError, LaterVersionError, RunError

STORAGE = "v1.5.0"  # the format that is written: DuckDB 1.5 and every later one read it
STORAGE_NUMBER = 68  # its number in a file
UPGRADE = "`pip install --upgrade rooflines`, or --home names another folder"

_MAGIC = b"DUCK"
_MAGIC_AT = 8  # a checksum stands before it
_VERSION_AT, _VERSION_BYTES = 12, 8


def read_storage_version(path: Path) -> int | None:
    """Return the number of the storage format that a database is written in; None if the file is not a database.

    The layout is that of DuckDB's main header: a checksum, the letters DUCK, the version as a little-endian number.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_VERSION_AT + _VERSION_BYTES)
    except OSError:
        return None
    if header[_MAGIC_AT:_VERSION_AT] != _MAGIC or len(header) < _VERSION_AT + _VERSION_BYTES:
        return None
    return int.from_bytes(header[_VERSION_AT:], "little")


def refuse_later_file(path: Path) -> None:
    """Raise `LaterVersionError` if a database that cannot be opened is in a later format than the one written here."""
    version = read_storage_version(path)
    if version is not None and version > STORAGE_NUMBER:
        later = f"{path}: written by a later version than DuckDB {duckdb.__version__} (storage format {version})"
        raise LaterVersionError(f"{later}; {UPGRADE}")


def refuse_unopenable_file(path: Path) -> None:
    """Raise if a database cannot be opened for a reason other than damage, so that it must stay where it is.

    Raises
    ------
    LaterVersionError
        A later version of DuckDB wrote it.
    InputError
        The file cannot be read and written.
    RunError
        Another process has it open.
    """
    refuse_later_file(path)
    try:
        with path.open("r+b") as file:
            locked = _is_locked(file.fileno())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; expected a place that can be written") from None
    if locked:
        raise RunError(f"{path}: another process has it open")


def _is_locked(descriptor: int) -> bool:
    """Whether another process holds a lock on a file, as DuckDB does while it has a database open."""
    try:
        import fcntl  # noqa: PLC0415
    except ImportError:  # Windows, which does not let a file be replaced while it is open
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.lockf(descriptor, fcntl.LOCK_UN)
    return False
