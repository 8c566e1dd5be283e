"""The events of a trace, cut out of its bytes one by one, so that a broken one costs no other.

A parser of JSON ends at the first error, and traces have many kinds: file names with backslashes, quotes in the names
of Python functions, NaN, bytes that are not UTF-8, an end that was never written. Here each event is decoded on its
own. After one that cannot be, reading goes on where the next begins. No more is kept in memory than the longest event.
"""

import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from flows.ingest.limits import MAX_UNPACK_RATIO, UNPACK_BYTES
from warehouse.errors import InputError

_CHUNK = 2**18  # bytes
_PACKED = 2**16  # bytes
_LONG = 2**16  # characters of most events
_LONGEST = 2**21  # characters of an event; what is longer is broken
_MAX_HEAD = 2**24  # characters before the events
_MAX_TAIL = 2**20  # characters after them
_OVERLAP = 256  # characters that are searched again when more have been read

_EVENTS = re.compile(r'"traceEvents"\s*:\s*\[')
_IS_LIST = re.compile(r"(?:\xef\xbb\xbf)?\s*\[")
_BETWEEN = re.compile(r"[\s,]*")
# where an event ends, and the next begins or the list ends
_NEXT = re.compile(
    r'[,}]\s*+(?:,\s*+)?(?=\{\s*+"(?:ph|name|cat|pid|tid|ts|dur|id|bp|s|args)"\s*+:|\]\s*+(?:\}|,\s*+"\w+"\s*+:))'
)

# Mistakes in an event that can be mended: a backslash that begins no escape, quotes in a name.
_BACKSLASH = re.compile(r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})?')
_NAME_START = re.compile(r'"name"\s*+:\s*+"')
_NAME_END = re.compile(r'"\s*+,\s*+"(?:ph|cat|pid|tid|ts|dur|id|args)"\s*+:')
_MAX_MENDED = 2**18  # characters

_FIELD = r'"{}"\s*:\s*'
_NAMES = re.compile(r'"name"\s*:\s*"([^"\\]{1,400})"')
_VERSION = re.compile(r'"(\w{0,60}(?:Version|_version))"\s*:\s*("[^"\\]{0,200}"|-?[0-9.]{1,30})')
_DEVICES = ("deviceProperties", "computeProperties")

Event = dict[str, Any]


class EventFile:
    """A trace, JSON or gzipped JSON, which is read from beginning to end.

    Attributes
    ----------
    skipped, mended
        Broken events that were left out, and those that could be read all the same.
    untimed
        Ops and kernels that were left out because their times are unknown.
    is_cut
        Whether the file ends before its events do.
    traces_ignored
        Traces behind the first one.
    has_more
        Whether anything else stands behind it.
    metadata
        Top-level fields beside the events, as far as they have been read.
    """

    def __init__(self, path: Path) -> None:
        self.skipped = self.mended = self.untimed = self.traces_ignored = 0
        self.is_cut = self.has_more = False
        self.metadata: dict[str, Any] = {}
        self._path = path
        self._text, self._at, self._is_at_end = "", 0, False
        self._is_list = self._is_mended = False
        self._raw: IO[bytes] | None = None
        self._unpack: _Unpacker | None = None
        self._left = math.inf

    def __enter__(self) -> "EventFile":
        """Open the file."""
        try:
            self._raw = self._path.open("rb")
            is_packed = self._raw.read(2) == b"\x1f\x8b"
            self._raw.seek(0)
        except OSError as error:
            raise self._refuse(error) from None
        if is_packed:
            self._unpack = _Unpacker(self._raw)
            self._left = max(UNPACK_BYTES, MAX_UNPACK_RATIO * self._path.stat().st_size)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        if self._raw is not None:
            self._raw.close()

    @property
    def fault(self) -> str:
        """What was wrong with the file; empty if nothing was."""
        parts = [
            f"{self.mended:,} broken event{'s' * (self.mended > 1)} mended" if self.mended else "",
            f"{self.skipped:,} broken event{'s' * (self.skipped > 1)} skipped" if self.skipped else "",
            f"{self.untimed:,} op{'s' * (self.untimed > 1)} or kernel{'s' * (self.untimed > 1)} of unknown time skipped"
            if self.untimed
            else "",
            f"{self.traces_ignored:,} more trace{'s' * (self.traces_ignored > 1)} in the file ignored"
            if self.traces_ignored
            else "",
            "what stands behind the trace is ignored" if self.has_more else "",
            "the file is cut short" if self.is_cut else "",
        ]
        return ", ".join(filter(None, parts))

    def count_untimed(self) -> None:
        """Count the event that was yielded last as one whose time is unknown, so that nothing has been mended."""
        self.untimed += 1
        self.mended -= self._is_mended

    def devices(self) -> list[str]:
        """Return the names of the devices of the machine."""
        found = [self.metadata.get(field) for field in _DEVICES]
        devices = [device for part in found if isinstance(part, list) for device in part if _is_object(device)]
        names = [device.get("name") for device in devices]
        return [read_text(name) for name in names if isinstance(name, str)]

    def versions(self) -> list[str]:
        """Return the versions that the file states, e.g. ``schemaVersion 1``."""
        return [
            f"{name} {read_text(value) if isinstance(value, str) else value}"
            for name, value in self.metadata.items()
            if name.endswith(("Version", "_version")) and isinstance(value, str | int | float)
        ]

    def events(self) -> Iterator[Event]:
        """Yield the events that can be read.

        Raises
        ------
        InputError
            The file cannot be read, has no list of events, or unpacks to more than a trace can.
        """
        self._find_events()
        decode = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
        while self._skip_separators():
            sign, mended = self._text[self._at], self.mended
            if sign == "]":
                self._read_tail()
                return
            try:
                value, end = decode(self._text, self._at)
            except (ValueError, RecursionError):
                if not self._is_at_end and len(self._text) - self._at < _LONGEST:
                    self._fill(2 * _LONGEST)  # enough for many broken events: what is ahead is copied
                    continue
                value, end = self._pass_broken(), self._at
            else:
                if not _is_utf_8(self._text, self._at, end):
                    self._count_broken(is_mended=_is_wanted(value))
            self._at, self._is_mended = end, self.mended > mended
            if isinstance(value, dict):
                yield value
        self.is_cut = True

    def _find_events(self) -> None:
        """Go to the first event; raise `InputError` if there is no list of events."""
        self._fill(_LONG)
        if found := _IS_LIST.match(self._text):
            self._at, self._is_list = found.end(), True
            return
        searched = 0
        while not (found := _EVENTS.search(self._text, searched)):
            searched = max(0, len(self._text) - _OVERLAP)
            if self._is_at_end or len(self._text) > _MAX_HEAD:
                reason = "the file is cut short; " if self.is_cut else ""
                raise InputError(
                    f'{self._path}: {reason}no list "traceEvents"; expected a trace of PyTorch\'s profiler'
                )
            self._fill(len(self._text) + _CHUNK)
        self._at = found.end()
        self.metadata |= _read_metadata(self._text[: self._at] + "]}")

    def _skip_separators(self) -> bool:
        """Go to the next value; return whether there is one."""
        while True:
            if len(self._text) - self._at < _LONG:
                self._fill(_LONG)
            found = _BETWEEN.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text):
                return True
            if self._is_at_end:
                return False

    def _pass_broken(self) -> Event | None:
        """Go behind a broken event, and return it if it could be mended."""
        start = self._at
        found = _NEXT.search(self._text, start)
        if found is not None:
            event = _mend(self._text[start : found.start() + 1]) if found.start() - start < _MAX_MENDED else None
            self._at = found.end()
            self._count_broken(is_mended=event is not None)
            return event
        while found is None and not self._is_at_end:
            self._at = max(self._at, len(self._text) - _OVERLAP)
            self._fill(_LONGEST)
            found = _NEXT.search(self._text)
        self._at = found.end() if found else len(self._text)
        self._count_broken(is_mended=False)
        return None

    def _count_broken(self, *, is_mended: bool) -> None:
        if is_mended:
            self.mended += 1
        else:
            self.skipped += 1

    def _read_tail(self) -> None:
        self._at += 1
        self._fill(_MAX_TAIL)
        tail = self._text[self._at :].lstrip(" \t\r\n,")
        more = tail
        if not self._is_list:
            fields, end = _split_metadata(f"{{{tail}")
            self.metadata |= fields
            more = tail[end - 1 :] if end else ""
        self.traces_ignored = self._count_traces()
        self.has_more = not self.traces_ignored and bool(more.strip(" \t\r\n\0"))

    def _count_traces(self) -> int:
        """Return how many lists of events are ahead; a gzip file shows only at its end that it is whole."""
        count = 0
        while True:
            found = [each.end() for each in _EVENTS.finditer(self._text, self._at)]
            count += len(found)
            if self._is_at_end:
                return count
            self._at = max(found[-1] if found else self._at, len(self._text) - _OVERLAP)
            self._fill(_OVERLAP + _CHUNK)

    def _fill(self, wanted: int) -> None:
        """Read until so many characters are ahead, or the file ends.

        Bytes are taken for characters of Latin-1: that keeps those that are not UTF-8 apart from others.
        """
        parts = [self._text[self._at :]]
        length = len(parts[0])
        try:
            while length < wanted and not self._is_at_end and self._raw is not None:
                chunk = self._unpack.read() if self._unpack else self._raw.read(_CHUNK)
                self._left -= len(chunk)
                if self._left < 0:
                    raise InputError(
                        f"{self._path}: unpacks to more than {MAX_UNPACK_RATIO} times its size; expected a trace of"
                        " PyTorch's profiler"
                    )
                self._is_at_end = not chunk
                self.is_cut = self.is_cut or (self._is_at_end and self._unpack is not None and self._unpack.is_cut)
                parts.append(chunk.decode("latin-1"))
                length += len(chunk)
        except OSError as error:
            raise self._refuse(error) from None
        self._text, self._at = "".join(parts), 0

    def _refuse(self, error: OSError) -> InputError:
        return InputError(f"{self._path}: cannot be read: {error.strerror or error}")


class _Unpacker:
    """The content of a gzip file, as far as it is sound: the module gzip loses what it has unpacked before an error."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._packed = file, b""
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self.is_cut = False

    def read(self) -> bytes:
        """Return the next bytes, none at the end or after an error."""
        while not self.is_cut:
            if self._member.eof:
                self._packed = self._member.unused_data or self._file.read(_PACKED)
                if not self._packed.lstrip(b"\0"):  # padding
                    return b""
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            self._packed = self._packed or self._file.read(_PACKED)
            is_at_end = not self._packed
            try:
                chunk = self._member.decompress(self._packed, _CHUNK)
            except zlib.error:
                self.is_cut = True
                break
            self._packed = self._member.unconsumed_tail
            if chunk:
                return chunk
            self.is_cut = is_at_end and not self._member.eof
        return b""


def read_text(text: str) -> str:
    """Return the text of an event, whose bytes were taken for Latin-1, without what cannot be printed."""
    with suppress(UnicodeEncodeError):  # written as an escape
        text = text.encode("latin-1").decode("utf-8", "replace")
    return "".join(letter for letter in text if letter.isprintable())


def _is_utf_8(text: str, start: int, end: int) -> bool:
    part = text[start:end]
    if part.isascii():
        return True
    try:
        part.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_wanted(value: object) -> bool:
    """Return whether an event may be an op or a kernel: what is left of others is of no use."""
    return isinstance(value, dict) and value.get("cat") not in (None, "python_function")


def _mend(text: str) -> Event | None:
    """Return a broken event without its mistakes; None if it has others than are known."""
    texts = [_BACKSLASH.sub(lambda found: found[0] if found[1] else r"\\", text)]
    start = _NAME_START.search(text)
    end = start and _NAME_END.search(text, start.end())
    if start and end:
        name = json.dumps(text[start.end() : end.start()])[1:-1]
        texts.append(text[: start.end()] + name + text[end.start() :])
    for each in texts:
        try:
            event = json.loads(each, strict=False, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and _is_wanted(event):
            return event
    return None


def _split_metadata(text: str) -> tuple[Mapping[str, Any], int]:
    """Return the top-level fields at the end of a document, and where it ends; 0 if that cannot be told."""
    try:
        document, end = json.JSONDecoder(strict=False, parse_constant=lambda _: None).raw_decode(text)
    except (ValueError, RecursionError):
        return _read_metadata(text), 0
    return document if _is_object(document) else {}, end


def _read_metadata(text: str) -> Mapping[str, Any]:
    """Return the top-level fields of a document, or of what can be read of a broken one."""
    try:
        document = json.loads(text, strict=False, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        found: dict[str, Any] = {name: value.strip('"') for name, value in _VERSION.findall(text)}
        for field in _DEVICES:
            if place := re.search(_FIELD.format(field), text):
                part = text[place.end() : text.find("]", place.end())]
                found[field] = [{"name": name} for name in _NAMES.findall(part)]
        return found
    return {name: value for name, value in document.items() if name != "traceEvents"} if _is_object(document) else {}
