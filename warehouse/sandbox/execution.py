"""Answer one user's statement, in a process that has already limited itself."""

import signal
import sys
from pathlib import Path
from typing import Any

import duckdb

from warehouse.engine.extensions import explain_missing_extension
from warehouse.errors import InputError, RunError, explain_disk_error, one_line
from warehouse.migrations import is_current
from warehouse.sandbox.statements import ask
from warehouse.snapshot import MADE_EARLIER, open_snapshot
from warehouse.sweeps.files import find_lost_files, list_registered_files

_SHORTEST_S, _LONGEST_S = 0.001, 1e8  # limits of a timer
_DEEPEST = 10_000
_MOST_ROWS_OF_A_TABLE = 40
_NO_MEMORY = ("bad_alloc", "Out of Memory Error")


def run_question(question: dict[str, Any], spill: Path) -> tuple[str, str]:
    """Answer a question; return how that ended (good, input, memory, run), and the message of an error."""
    source = question["source"]
    try:
        _answer(question, spill)
    except InputError as error:
        return "input", str(error)
    except BaseException as error:  # a panic of polars is not an Exception
        trouble = explain_disk_error(error)
        is_memory = isinstance(error, MemoryError | duckdb.OutOfMemoryException)
        if is_memory or any(word in str(error) for word in _NO_MEMORY):
            return "memory", ""
        if isinstance(error, RunError) or isinstance(trouble, RunError):
            return "run", f"{source}: {trouble or error}"
        return "input", f"{source}: {one_line(error)}"
    return "good", ""


def _answer(question: dict[str, Any], spill: Path) -> None:
    with open_snapshot(Path(question["snapshot"]), question["memory"], spill=spill) as connection:
        _refuse_sweep_file(connection, question["out"])
        try:
            _write(connection, question)
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            _refuse_missing_files(connection, str(error), question["source"])
            _blame_earlier_version(connection, error, question["source"])
            raise


def _write(connection: duckdb.DuckDBPyConnection, question: dict[str, Any]) -> None:
    sys.setrecursionlimit(_DEEPEST)
    signal.setitimer(signal.ITIMER_REAL, min(max(question["seconds"], _SHORTEST_S), _LONGEST_S))
    relation = ask(connection, question["sql"])
    if relation is None:
        raise InputError(f"{question['source']}: the statement has no result; expected one that returns rows")
    if question["form"] == "table":
        relation.show(max_width=question["width"], max_rows=_MOST_ROWS_OF_A_TABLE)
    else:
        _write_rows(relation, question)
    sys.stdout.flush()
    signal.setitimer(signal.ITIMER_REAL, 0)


def _write_rows(relation: duckdb.DuckDBPyRelation, question: dict[str, Any]) -> None:
    from warehouse.sandbox.results import write_columns, write_rows  # noqa: PLC0415  # a table needs no polars

    if question["form"] == "ipc":
        write_columns(relation, question["columns"], question["most_rows"])
    else:
        write_rows(relation, question["form"], raw=question["raw"])


def _refuse_sweep_file(connection: duckdb.DuckDBPyConnection, out: str | None) -> None:
    """Raise `InputError` if the rows would replace a sweep's file."""
    if out is None:
        return
    for sweep_id, files in list_registered_files(connection).items():
        if any(isinstance(file, Path) and str(file.resolve()) == out for file in files):
            raise InputError(f"--out: {out}: a file of the sweep {sweep_id}; expected a file of yours")


def _blame_earlier_version(connection: duckdb.DuckDBPyConnection, error: duckdb.Error, source: str) -> None:
    """Raise `InputError` if a name is unknown in a snapshot that an earlier version made: this one may know it."""
    if isinstance(error, duckdb.CatalogException | duckdb.BinderException) and not is_current(connection):
        raise InputError(f"{source}: {one_line(error)}; {MADE_EARLIER}")


def _refuse_missing_files(connection: duckdb.DuckDBPyConnection, said: str, source: str) -> None:
    """Raise `InputError` if a sweep lacks a file; DuckDB would say that it may not open it."""
    for sweep_id, files in find_lost_files(connection).items() if ".parquet" in said else ():
        todo = f"the same `rooflines sweep` makes it again, `rooflines sweep --remove {sweep_id}` removes the sweep"
        raise InputError(f"{source}: sweep {sweep_id}: {files[0]} is missing; {todo}")
    if "httpfs" in said and (reason := explain_missing_extension("httpfs", "s3")):
        raise InputError(f"{source}: sweeps in a bucket: {reason}")
