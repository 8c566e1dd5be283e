"""The errors that end a command, and how others are turned into them: one line that says what to do."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

Each = Callable[[], AbstractContextManager[None]]  # the context in which one of several inputs is read

LITTLE_SPACE = 1_000_000  # a disk with fewer free bytes is full
_LONGEST = 4_000  # characters of a message
_LONGEST_PATH = 200  # characters of a message about a path that is too long
_UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
# messages of the system about a disk, which DuckDB and polars repeat
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL = [os.strerror(number) for number in _NO_SPACE]
_CLOSED = [os.strerror(number) for number in (errno.EACCES, errno.EPERM, errno.EROFS)]


class InputError(Exception):
    """The user's input cannot be used; the command ends with exit code 2.

    The message is one line that names the file, the field, its value and what was expected.
    """


class SeveralInputsError(InputError):
    """Several inputs cannot be used; each argument is a line about one of them."""

    def __str__(self) -> str:
        return "; ".join(self.args)


class LaterVersionError(InputError):
    """A later version made the file; this one would damage it."""


class RunError(Exception):
    """A run or a check failed although its input was good; the command ends with exit code 1."""


@contextmanager
def collect_refusals() -> Iterator[Each]:
    """Read every input even after a bad one, then raise `InputError` with a line for each bad one.

    Yields the context in which to read each input: ``with each(): ...``.
    """
    refusals: list[InputError] = []

    @contextmanager
    def each() -> Iterator[None]:
        try:
            yield
        except InputError as error:
            refusals.append(error)

    with each():
        yield each
    if len(refusals) > 1:
        raise SeveralInputsError(*dict.fromkeys(line for error in refusals for line in error_lines(error)))
    if refusals:
        raise refusals[0]


def error_lines(error: object) -> Iterable[str]:
    """Return the lines that a command prints about an error: one, or one for each input that was refused."""
    return map(one_line, error.args if isinstance(error, SeveralInputsError) else [error])


def one_line(error: object) -> str:
    """Return an error's message without line breaks, and without control characters for terminals."""
    text = " ".join(str(error)[:_LONGEST].split())  # polars repeats what it cannot read, perhaps a whole file
    return text if text.isprintable() else "".join(sign if sign.isprintable() else _UNPRINTABLE for sign in text)


def explain_write_error(what: object, error: OSError, expected: str) -> InputError | RunError:
    """Return an error that says why something cannot be written: a full disk, or the wrong place."""
    if error.errno in _NO_SPACE:
        return RunError(f"no space on the disk: {what}: {error.strerror}; free some, then run again")
    return InputError(f"{what}: {error.strerror or error}; expected {expected} that can be written")


def explain_disk_error(error: BaseException) -> InputError | RunError | None:
    """Turn disk-full and permission errors into one line that says what to do; return None for other errors."""
    said = one_line(error)
    if isinstance(error, InputError | RunError):
        return None
    if any(word in said for word in _FULL):
        return RunError(f"no space on the disk: {said}; free some, then run again")
    if os.strerror(errno.ENAMETOOLONG) in said:
        return InputError(f"{said[:_LONGEST_PATH]}; expected a shorter path")
    if any(word in said for word in _CLOSED):
        return InputError(f"{said}; expected a place that can be written")
    return None
