"""JSON files of any size, plain or gzipped, opened as streams that refuse what would exhaust memory or time."""

import gzip
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from flows.ingest.limits import MAX_DEPTH, MAX_TEXT_BYTES, MAX_UNPACK_RATIO, UNPACK_BYTES

CHUNK = 4096  # bytes; small, because depth is checked once per chunk

_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_LONG_NUMBER = re.compile(rb"[0-9]{300}")


class JsonStream:
    """A JSON file for ijson that stops if JSON is nested too deeply, or has too long a number or string.

    ijson takes memory quadratic in the depth and time quadratic in the length of a string, and its C backend crashes
    on integers with more digits than Python reads.
    """

    def __init__(self, file: IO[bytes] | gzip.GzipFile, max_bytes: float = math.inf) -> None:
        self._file, self._left = file, max_bytes
        self._depth, self._in_text, self._text_bytes, self._rest = 0, False, 0, b""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes.

        Raises
        ------
        ValueError
            The JSON exceeds a limit.
        """
        chunk = self._file.read(min(size, CHUNK) if size >= 0 else CHUNK)
        self._left -= len(chunk)
        if self._left < 0:
            raise ValueError(f"unpacks to more than {MAX_UNPACK_RATIO} times its size")
        text = _ESCAPED.sub(b"", self._rest + chunk)
        self._rest = b"\\" if text.endswith(b"\\") else b""
        parts = text.split(b'"')
        self._text_bytes = self._text_bytes + len(chunk) if self._in_text and len(parts) == 1 else 0
        if self._text_bytes > MAX_TEXT_BYTES:
            raise ValueError(f"a string of more than {MAX_TEXT_BYTES} bytes")
        outside = b" ".join(parts[self._in_text :: 2])
        self._in_text ^= len(parts) % 2 == 0
        self._depth += sum(map(outside.count, (b"[", b"{"))) - sum(map(outside.count, (b"]", b"}")))
        if self._depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        if _LONG_NUMBER.search(outside):
            raise ValueError("a number with hundreds of digits")
        return chunk


@contextmanager
def open_json(path: Path) -> Iterator[JsonStream]:
    """Open a JSON file, unpacking it if it is gzipped."""
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if is_packed:
            yield JsonStream(gzip.GzipFile(fileobj=file), max(UNPACK_BYTES, MAX_UNPACK_RATIO * path.stat().st_size))
        else:
            yield JsonStream(file)
