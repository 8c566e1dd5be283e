"""Write the result of a user's query to standard output, or atomically to a file."""

import re
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from warehouse.errors import InputError
from warehouse.files.atomic import write_atomically
from warehouse.home import Home
from warehouse.sandbox.question import Question, answer

# names in a home: databases, with their logs and partial files, and folders
_OWN = re.compile(r"(build|rooflines|run|site|snapshots|stage|sweeps|catalog)(-\d+)?(\..*)?", re.IGNORECASE)


def write_result(home: Home, question: Question, out: Path | None = None) -> None:
    """Run a statement and write its rows to a file or to standard output.

    Raises
    ------
    InputError
        The statement cannot be run, or its result cannot be written as asked.
    RunError
        The disk is full.
    BrokenPipeError
        Nobody reads standard output.
    """
    if question.form == "parquet" and out is None and sys.stdout.isatty():
        raise InputError("--format parquet: expected --out FILE, or standard output sent to a file")
    width = max(80, shutil.get_terminal_size((160, 0)).columns)
    if out is None:
        _write_to_standard_output(replace(question, width=width))
        return
    try:
        target = _refuse_file_of_home(home, out)
        if target.exists() and not target.is_file():  # a pipe or a device
            with out.open("wb") as file:
                answer(replace(question, width=width), file)
        else:
            _write_whole(replace(question, width=width, out=str(target)), out)
    except OSError as error:
        raise InputError(f"--out: {out}: {error.strerror or error}; expected a file that can be written") from None


def _write_to_standard_output(question: Question) -> None:
    try:
        target = sys.stdout.fileno()
    except OSError:  # replaced by a calling program
        with tempfile.TemporaryFile() as rows:
            answer(question, rows)
            rows.seek(0)
            shutil.copyfileobj(rows, sys.stdout.buffer)
    else:
        sys.stdout.flush()
        answer(question, target)


def _write_whole(question: Question, out: Path) -> None:
    """Write a file next to its place, and rename it when it is complete."""
    with suppress(FileNotFoundError):
        out.lstat()  # reports a name that is too long before the query runs
    with write_atomically(out) as partial, partial.open("xb") as file:
        answer(question, file)


def _refuse_file_of_home(home: Home, out: Path) -> Path:
    """Return the target of a path, or raise `InputError` if it is one of the home's own files."""
    target = out.resolve()
    folders = [home.snapshots, home.stage, home.sweeps, home.catalog, home.site]
    above = [target, *target.parents]
    in_home = [path for path in above if _is_same(path.parent, home.path)]
    is_own = any(_OWN.fullmatch(path.name) for path in in_home) or _is_same(target, home.path)
    if is_own or any(_is_same(path, folder) for path in above for folder in folders):
        raise InputError(f"--out: {out}: belongs to the home {home.path}; expected a file of your own")
    return target


def _is_same(path: Path, other: Path) -> bool:
    with suppress(OSError):
        return path.samefile(other)
    return False
