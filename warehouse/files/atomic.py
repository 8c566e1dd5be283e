"""Files that are on the disk once a function returns, on Linux, macOS and Windows."""

import os
import time
from contextlib import suppress
from pathlib import Path

_RETRY_FOR_S = 10.0
_RETRY_EVERY_S = 0.1


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    with path.open("r+b") as file:  # Windows flushes only what it may write
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, where a system lets folders be opened."""
    with suppress(PermissionError):  # Windows opens no folders, and writes names without being asked
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; what is not a regular file, as /dev/stdout, is written to as it is."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def replace_file(source: Path, target: Path) -> None:
    """Put a file in the place of another; wait a while for readers on Windows, which keeps the place of open files.

    Raises
    ------
    OSError
        It cannot be done; on Windows, also if somebody reads the other file for longer than ten seconds.
    """
    end = time.monotonic() + _RETRY_FOR_S
    while True:
        try:
            source.replace(target)
        except PermissionError:
            if os.name != "nt" or time.monotonic() > end:
                raise
            time.sleep(_RETRY_EVERY_S)
        else:
            return
