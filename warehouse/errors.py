"""The two ways in which a command ends badly."""

import errno
import os

_LONGEST = 4_000  # characters of a message
_UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
# what the system says of a disk, in the words that DuckDB and polars repeat
_FULL = [os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)]
_CLOSED = [os.strerror(number) for number in (errno.EACCES, errno.EPERM, errno.EROFS)]


class InputError(Exception):
    """What the user gave cannot be used; the command ends with exit code 2.

    The message is one line that names the file, the field, its value and what was expected.
    """


class LaterVersionError(InputError):
    """A later version made the file, which this one would spoil."""


class RunError(Exception):
    """A run or a rule failed although its input was good; the command ends with exit code 1."""


def one_line(error: object) -> str:
    """Return an error's message without line breaks, and without what a terminal would take for a command."""
    text = " ".join(str(error)[:_LONGEST].split())  # polars repeats what it cannot read, which may be a whole file
    return text if text.isprintable() else "".join(sign if sign.isprintable() else _UNPRINTABLE for sign in text)


def disk_trouble(error: BaseException) -> InputError | RunError | None:
    """Return what to do about an error of the disk in one line; None where it is an error of another kind."""
    said = one_line(error)
    if isinstance(error, InputError | RunError):
        return None
    if any(word in said for word in _FULL):
        return RunError(f"no space on the disk: {said}; free some, then run again")
    if any(word in said for word in _CLOSED):
        return InputError(f"{said}; expected a place that can be written")
    return None
