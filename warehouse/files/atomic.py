"""Files that are written whole or not at all, and that are on the disk once a function returns.

For Linux, macOS and Windows.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIALS = ".rooflines-*.partial*"  # pattern of the files that a killed process leaves

_RETRY_FOR_S = 10.0
_RETRY_EVERY_S = 0.1


@contextmanager
def write_atomically(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """Yield the path of a partial file, which replaces `path` if the block succeeds and is deleted if it fails.

    Parameters
    ----------
    path
        The file. Its folder must exist.
    sync
        Wait until the content is on the disk before the file is replaced.
    """
    partial = path.with_name(f".rooflines-{secrets.token_hex(4)}.partial")  # short: `path` may be as long as can be
    try:
        yield partial
        if sync:
            sync_file(partial)
        replace_file(partial, path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically; write directly to what is not a regular file, such as /dev/stdout."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    with write_atomically(path) as partial:
        partial.write_bytes(content)


def replace_file(source: Path, target: Path) -> None:
    """Rename a file to the name of another, which it replaces.

    Windows refuses while somebody has the other file open; the function then retries for ten seconds.

    Raises
    ------
    OSError
        The file cannot be replaced.
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


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    with path.open("r+b") as file:  # Windows flushes only files that are open for writing
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, if the system lets folders be opened."""
    with suppress(PermissionError):  # Windows does not open folders; it writes names without being asked
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
