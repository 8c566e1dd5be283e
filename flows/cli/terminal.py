"""The terminal: results on standard output, progress and errors on standard error."""

import logging
import os
import select
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from warehouse.errors import InputError, error_lines


class Progress(logging.Handler):
    """Shows the last message of a log on one line of the terminal."""

    def __init__(self, status: Any) -> None:
        super().__init__(logging.INFO)
        self._status = status

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record, unless it is one of Prefect's own about states."""
        if not record.module.endswith("_engine"):
            self.tell(record.getMessage())

    def tell(self, message: str) -> None:
        """Replace the line that is shown."""
        if self._status:
            self._status.update(message)

    def warn(self, message: str) -> None:
        """Leave a line on the terminal."""
        print(f"rooflines: {message}", file=sys.stderr)

    def stop(self) -> None:
        """Remove the line."""
        if self._status:
            self._status.stop()


class _WarningLines(logging.Handler):
    """Prints each warning as a line on standard error, once: files are read more than once."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message in self._told:
            return
        self._told.add(message)
        with suppress(OSError, ValueError, AttributeError):  # closed, or nobody reads it
            print(f"rooflines: {message}", file=sys.stderr, flush=True)


def print_warnings() -> None:
    """Print what the project warns of, e.g. that a database was rebuilt: Prefect's log settings would drop it."""
    for logger in (logging.getLogger("warehouse"), logging.getLogger("flows.ingest")):
        if not any(isinstance(handler, _WarningLines) for handler in logger.handlers):
            logger.addHandler(_WarningLines(logging.WARNING))


@contextmanager
def show_progress(message: str) -> Iterator[Progress]:
    """Show progress if standard error is a terminal, and nothing otherwise."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield Progress(None)
        return
    from rich.console import Console

    with Console(stderr=True).status(message) as status:
        yield Progress(status)


@contextmanager
def exit_at_once_on_interrupt(show: Progress, ended: str) -> Iterator[None]:
    """End the process as soon as the user presses Ctrl-C: for work that may end anywhere, and leaves whole files only.

    Polars takes Ctrl-C too, raises it in whatever thread it runs in, and prints a panic if it has called back into
    Python there. The handler that is set last is the only one, so polars is imported before.
    """
    import polars  # noqa: F401

    def leave(_signal: int, _frame: object) -> None:
        show.stop()
        print_error(ended, with_traceback=False)
        os._exit(130)

    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def print_bytes(content: bytes) -> None:
    """Write bytes to standard output."""
    if sys.stdout is None:
        raise InputError("standard output is closed; expected --out FILE")
    sys.stdout.buffer.write(content)


def print_error(reason: BaseException | str, *, with_traceback: bool) -> None:
    """Print an error, one line per bad input."""
    if with_traceback:
        traceback.print_exc()
    try:
        for line in error_lines(reason) if sys.stderr else ():
            print(f"rooflines: {line}", file=sys.stderr, flush=True)
    except OSError:  # nobody reads it
        _send_to_null(sys.stderr)


def flush_output() -> None:
    """Flush standard output, while a failure can still be reported."""
    if sys.stdout is not None:  # None if the shell closed it
        sys.stdout.flush()


def flush_or_drop_output() -> None:
    """Flush standard output, or drop what is left: otherwise the interpreter would report it again at exit."""
    with suppress(OSError, ValueError, AttributeError):
        try:
            flush_output()
        except OSError:
            _send_to_null(sys.stdout)


def is_abandoned(stream: TextIO | None) -> bool:
    """Whether the reader of a stream has gone, as in `rooflines schema | head -1`."""
    with suppress(OSError, ValueError, AttributeError):
        poll = select.poll()
        poll.register(stream.fileno() if stream else -1, 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    return False


def _send_to_null(stream: TextIO) -> None:
    """Send unwritten output to the null device, so that the interpreter does not fail at exit."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
