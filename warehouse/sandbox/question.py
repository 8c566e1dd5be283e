"""Run each of users' statements in a process of its own that can only read the snapshot."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from warehouse.errors import InputError, RunError

MEMORY_LIMIT = "2GB"

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT])(i?)B", re.IGNORECASE)
_LEAST, _MOST = 16e6, 1e15  # bytes of memory
_SPILL = "rooflines-spill-"  # followed by the id of its process
_KEPT = 64 * 1024  # last bytes of a process's error output
_ENDED_BY: dict[int, str] = {  # signals other than those of a crash
    signal.SIGALRM: "it took longer than {seconds:g} s; {longer}",
    signal.SIGKILL: "it takes more memory than the machine has; {larger}",
}
_TOO_LARGE = "it takes more memory than it may; {larger}"
_NO_MEMORY = b"memory allocation of"  # the last message of polars


@dataclass(frozen=True)
class Question:
    """A user's statement, the form of its result, and its limits.

    Parameters
    ----------
    snapshot
        The database that it reads.
    sql
        The statement.
    form
        How its rows are written: table, csv, json, parquet; or ipc, which this program reads.
    source
        Where it comes from, as messages begin.
    more
        The options that allow more time and more memory, as "--timeout --memory"; none by default.
    columns
        For ipc: the columns to write.
    most_rows
        For ipc: the number of rows to write.
    width
        For a table: characters per line.
    raw
        For CSV: whether text is left as it is.
    out
        The file that the rows are written to, if any.
    """

    snapshot: str
    sql: str
    form: str
    source: str
    seconds: float
    memory: str = MEMORY_LIMIT
    more: str = ""
    columns: Sequence[str] = ()
    most_rows: int = 0
    width: int = 160
    raw: bool = False
    out: str | None = None


def parse_memory(amount: str) -> float:
    """Return the bytes of an amount of memory such as 500MB or 2 GiB, or raise `InputError`."""
    found = _AMOUNT.fullmatch(amount)
    if found is None:
        raise InputError(f"--memory: {amount}; expected an amount such as 500MB or 4GB")
    number, prefix, is_binary = found.groups()
    size = float(number) * float((1024 if is_binary else 1000) ** ("KMGT".index(prefix.upper()) + 1))
    if not _LEAST <= size <= _MOST:
        raise InputError(f"--memory: {amount}; expected 16MB to 1000TB")
    return size


def answer(question: Question, target: int | IO[bytes]) -> None:
    """Run a statement in a process of its own, which writes its rows to an open file.

    The process ends when this one does, for whatever reason.

    Raises
    ------
    InputError
        The statement does more than read, cannot be run, exceeds its time or memory, or crashed.
    RunError
        The disk is full.
    BrokenPipeError
        Nobody reads the rows.
    """
    parse_memory(question.memory)
    _delete_old_spills()
    with _raise_on_sigterm(), tempfile.TemporaryDirectory(prefix=f"{_SPILL}{os.getpid()}-") as spill:
        command = [sys.executable, "-P", "-m", "warehouse.sandbox.process", spill, str(os.getpid())]
        with _start_process(command, target) as process:
            with suppress(BrokenPipeError):  # it ended early; the reason is read below
                assert process.stdin is not None
                process.stdin.write(json.dumps(asdict(question)).encode() + b"\n")
                process.stdin.flush()
            said = _read_last_output(process)
            _raise_verdict(question, process.wait(), said)


@contextmanager
def _raise_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block with an exception, so that nothing is left behind."""

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _delete_old_spills() -> None:
    """Delete the data that killed processes spilled."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SPILL}*-*"):
        owner = folder.name.removeprefix(_SPILL).partition("-")[0]
        with suppress(OSError, ValueError):
            if folder.lstat().st_uid == os.getuid() and not _is_alive(int(owner)):
                shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@contextmanager
def _start_process(command: Sequence[str], target: int | IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process, and kill it if the block ends first."""
    path = os.pathsep.join(filter(None, [*_import_path(), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=target,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path} if path else None,
    )
    try:
        yield process
    finally:
        process.kill()
        with suppress(BrokenPipeError):
            process.communicate()


def _import_path() -> list[str]:
    """Return the checkout that this package is in; nothing if it is installed, where Python looks anyway."""
    folder = Path(__file__).resolve().parents[2]
    return [str(folder)] if (folder / "pyproject.toml").is_file() else []


def _read_last_output(process: subprocess.Popen[bytes]) -> bytes:
    """Read the error output of a process to its end, and return the last of it."""
    said = b""
    assert process.stderr is not None
    while more := os.read(process.stderr.fileno(), _KEPT):
        said = (said + more)[-_KEPT:]
    return said


def _raise_verdict(question: Question, code: int, said: bytes) -> None:
    """Raise the error that a process ended with, if any."""
    if code == -signal.SIGPIPE:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    options = question.more.split()
    longer, larger = (f"{option} allows more" for option in options) if options else ("expected less",) * 2
    words = {"seconds": question.seconds, "longer": longer, "larger": larger}
    lines = said.splitlines()
    try:
        kind, message = json.loads(lines[-1]) if code == 0 else ("crash", "")
    except (ValueError, IndexError):
        kind, message = "crash", ""
    if kind == "memory" or (kind == "crash" and _NO_MEMORY in said):
        kind, message = "input", f"{question.source}: {_TOO_LARGE.format(**words)}"
    elif kind == "crash":
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        reason = _ENDED_BY.get(-code, f"the engine crashed on it ({name}); expected another statement")
        kind, message = "input", f"{question.source}: {reason.format(**words)}"
    if kind == "input":
        raise InputError(message)
    if kind == "run":
        raise RunError(message)
