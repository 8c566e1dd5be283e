"""The SQLite export of Nsight Systems: how long each kernel ran. It counts neither FLOP nor bytes.

`nsys export --type sqlite` writes the table `CUPTI_ACTIVITY_KIND_KERNEL` with start and end in nanoseconds, and the
names of kernels in `StringIds` (NVIDIA, Nsight Systems user guide, SQLite schema reference).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn

import polars as pl

from flows.ingest.profiles.plain_text import clean_name, refuse_empty
from flows.ingest.source_file import SourceFile
from warehouse.errors import InputError, one_line

_MAGIC = b"SQLite format 3\0"
_KERNELS = "CUPTI_ACTIVITY_KIND_KERNEL"
_COLUMNS = {"start", "end", "demangledName"}
_TIMES = f'select value, count(*), sum("end" - start) from {_KERNELS} join StringIds on id = demangledName group by 1'
_SCHEMA = {"op": pl.String, "launches": pl.Int64, "total_s": pl.Float64}
_MOST_OPCODES = 200  # million: of SQLite's machine, some ten seconds
_EXPECTED = "the SQLite export of an nsys report with kernels: nsys export --type sqlite REPORT"
COUNT = "ncu --csv --page raw with roofline metrics, or a trace of PyTorch's profiler with shapes"


def is_nsys(path: Path) -> bool:
    """Return whether a file is a SQLite database."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def list_kernels(path: Path) -> pl.DataFrame:
    """Return `op`, `launches` and `total_s` of each kernel, the one that took longest first.

    Raises
    ------
    InputError
        The file is no such export, or has no kernels.
    """
    try:
        with _open(path) as connection:
            known = {row[1] for row in connection.execute(f"pragma table_info({_KERNELS})")}
            if not known >= _COLUMNS:
                refuse_empty(path, _EXPECTED)
            rows = [
                (clean_name(str(name)) or "kernel", launches, nanoseconds / 1e9)
                for name, launches, nanoseconds in connection.execute(_TIMES)
                if isinstance(nanoseconds, int | float) and nanoseconds > 0
            ]
    except (sqlite3.Error, OverflowError) as error:
        raise InputError(f"{path}: broken SQLite: {one_line(error)[:200]}; expected {_EXPECTED}") from None
    if not rows:
        refuse_empty(path, _EXPECTED)
    return pl.DataFrame(rows, _SCHEMA, orient="row").sort("total_s", "op", descending=[True, False])


def read_nsys(source: SourceFile, hardware_id: str, model_id: str | None) -> NoReturn:
    """Refuse the file: without FLOP and bytes, a kernel has no place on a roofline."""
    del hardware_id, model_id
    kernels = list_kernels(source.path)
    raise InputError(
        f"{source.path}: {len(kernels)} kernels with times, but without FLOP and bytes, which nsys does not count;"
        f" expected {COUNT}; `rooflines profile` lists the times"
    )


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database that is only read, and end queries that a hostile file makes long."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        connection.text_factory = lambda content: content.decode("utf-8", "replace")
        left = [_MOST_OPCODES]

        def count() -> bool:
            left[0] -= 1
            return left[0] < 0

        connection.set_progress_handler(count, 1_000_000)
        yield connection
