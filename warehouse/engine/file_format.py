"""What a database file is, by its bytes and locks: code that deletes files never relies on an error message."""

from pathlib import Path

import duckdb

from warehouse.errors import InputError, LaterVersionError, RunError

STORAGE = "v1.5.0"  # the format that is written, which DuckDB 1.5 and later read
STORAGE_NUMBER = 68  # its number in the header
UPGRADE = "`pip install --upgrade rooflines`, or --home names another folder"

_MAGIC = b"DUCK"
_MAGIC_AT = 8  # after a checksum
_VERSION_AT, _VERSION_BYTES = 12, 8


def read_storage_version(path: Path) -> int | None:
    """Return the number of a database's storage format, None if the file is not a database.

    DuckDB's main header is a checksum, the letters DUCK, and the version as a little-endian number.
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
    """Raise `LaterVersionError` if a database is in a later format than the one that is written here."""
    version = read_storage_version(path)
    if version is not None and version > STORAGE_NUMBER:
        later = f"{path}: written by a later version than DuckDB {duckdb.__version__} (storage format {version})"
        raise LaterVersionError(f"{later}; {UPGRADE}")


def refuse_unopenable_file(path: Path) -> None:
    """Raise if a database cannot be opened for a reason other than damage: then it must not be moved.

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
