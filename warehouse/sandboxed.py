"""The process of one user's statement: it limits itself, decides, runs it, and writes the rows to standard output.

Its arguments are a folder for what does not fit the memory and the process that waits; a line of standard input is the
question; the last line of standard error is how it ended.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse.errors import InputError, RunError, disk_trouble, one_line
from warehouse.landlock import forbid_writing
from warehouse.sandbox import bytes_of

if TYPE_CHECKING:
    import duckdb

_BESIDE = 400 * 10**6  # bytes of memory beside what DuckDB counts: of the 512 MB, what libraries take comes off
_SHORTEST_S, _LONGEST_S = 0.001, 1e8  # of a timer
_DEEPEST = 10_000
_NO_MEMORY = ("bad_alloc", "Out of Memory Error")
_END_WITH_PARENT = 1  # of prctl


def main() -> None:
    """Answer one question, and end without clearing up."""
    spill, parent = Path(sys.argv[1]), int(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    _end_with(parent)
    forbid_writing([spill])  # before the libraries start their threads
    question = json.loads(sys.stdin.buffer.readline())
    limit(question["memory"])
    verdict = _verdict(question, spill)
    sys.stdout.flush()
    os.write(sys.stderr.fileno(), f"\n{json.dumps(verdict)}\n".encode())
    os._exit(0)


def _end_with(parent: int) -> None:
    """End this process when the one that waits for it does, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def limit(memory: str) -> None:
    """Limit the memory that this process takes, as far as the system does, and let a crash leave no file."""
    most = int(bytes_of(memory)) + _BESIDE
    for limit, amount in ((resource.RLIMIT_DATA, most), (resource.RLIMIT_CORE, 0)):
        highest = resource.getrlimit(limit)[1]
        lower = amount if highest == resource.RLIM_INFINITY else min(amount, highest)
        resource.setrlimit(limit, (lower, lower))


def _verdict(question: dict[str, Any], spill: Path) -> tuple[str, str]:
    """Answer a question; return what kind of end that was, and the message of one that is bad."""
    import duckdb  # noqa: PLC0415  # not before this process may not write

    source = question["source"]
    try:
        _answer(question, spill)
    except InputError as error:
        return "input", str(error)
    except BaseException as error:  # a panic of polars is no Exception
        trouble = disk_trouble(error)
        is_memory = isinstance(error, MemoryError | duckdb.OutOfMemoryException)
        if is_memory or any(word in str(error) for word in _NO_MEMORY):
            return "memory", ""
        if isinstance(error, RunError) or isinstance(trouble, RunError):
            return "run", f"{source}: {trouble or error}"
        return "input", f"{source}: {one_line(error)}"
    return "good", ""


def _answer(question: dict[str, Any], spill: Path) -> None:
    import duckdb  # noqa: PLC0415

    from warehouse.snapshot import open_snapshot  # noqa: PLC0415

    with open_snapshot(Path(question["snapshot"]), question["memory"], spill=spill) as connection:
        _refuse_part_of_sweep(connection, question["out"])
        try:
            _write(connection, question)
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            _refuse_lack_of_files(connection, str(error), question["source"])
            raise


def _write(connection: "duckdb.DuckDBPyConnection", question: dict[str, Any]) -> None:
    from warehouse.results import write_columns, write_rows, write_table  # noqa: PLC0415
    from warehouse.statements import ask  # noqa: PLC0415

    sys.setrecursionlimit(_DEEPEST)
    signal.setitimer(signal.ITIMER_REAL, min(max(question["seconds"], _SHORTEST_S), _LONGEST_S))
    relation = ask(connection, question["sql"])
    if relation is None:
        raise InputError(f"{question['source']}: the statement has no result; expected one that returns rows")
    if question["form"] == "table":
        write_table(relation, question["width"])
    elif question["form"] == "ipc":
        write_columns(relation, question["columns"], question["most_rows"])
    else:
        write_rows(relation, question["form"], raw=question["raw"])
    sys.stdout.flush()
    signal.setitimer(signal.ITIMER_REAL, 0)


def _refuse_part_of_sweep(connection: "duckdb.DuckDBPyConnection", out: str | None) -> None:
    """Raise `InputError` where the rows would take the place of a sweep's file."""
    from warehouse.store import registered_files  # noqa: PLC0415

    if out is None:
        return
    for sweep_id, files in registered_files(connection).items():
        if any(isinstance(file, Path) and str(file.resolve()) == out for file in files):
            raise InputError(f"--out: {out}: a file of the sweep {sweep_id}; expected one of your own")


def _refuse_lack_of_files(connection: "duckdb.DuckDBPyConnection", said: str, source: str) -> None:
    """Raise `InputError` where a sweep lacks a file; DuckDB would say that it may not look for it."""
    from warehouse.extensions import reason_without  # noqa: PLC0415
    from warehouse.store import lost_files  # noqa: PLC0415

    for sweep_id, files in lost_files(connection).items() if ".parquet" in said else ():
        mend = f"the same `rooflines sweep` makes it again, `rooflines sweep --remove {sweep_id}` forgets the sweep"
        raise InputError(f"{source}: sweep {sweep_id}: {files[0]} is gone; {mend}")
    if "httpfs" in said and (reason := reason_without("httpfs", "s3")):
        raise InputError(f"{source}: sweeps that lie in a bucket: {reason}")


if __name__ == "__main__":
    main()
