"""Which op launched each kernel of a trace.

A kernel has the external id of the innermost op that launched it, or the correlation id of the call that did, which
has such an id, or was made while the op ran. A kernel of an op that is not counted belongs to the nearest op around
it that is. Kernels that are replayed from a CUDA graph are in no op: they are matched to what was launched, in the
same order, while the graph was recorded, if the trace shows that.

Events go to tables of DuckDB as they are read, and what does not fit in its memory goes to disk: a longer trace takes
no more memory.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from flows.ingest.profiles.torch_profiler.columns import (
    BEGIN_CAPTURE,
    END_CAPTURE,
    GRAPH_LAUNCH,
    LAUNCH,
    Events,
    find_rank,
)
from warehouse.connection import OFFLINE, Config
from warehouse.errors import RunError
from warehouse.polars_frames import ArrowStream
from warehouse.rows import fetch_column, fetch_count, fetch_rows
from warehouse.sql_files import load_sql

# Memory of the database; a statement that cannot do with it gets the next.
_MEMORY = ("96MB", "160MB", "256MB", "384MB", "1500MB")
# one thread gives the same sums in each run
_CONFIG: Config = {**OFFLINE, "memory_limit": _MEMORY[0], "threads": 1, "preserve_insertion_order": False}
# How many recordings are compared with a replay.
_MAX_CAPTURES = 1_000
_MAX_DIGITS = 18  # of the number of a device


@contextmanager
def open_tables(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory for the events of a trace, which spills to a folder of its own.

    Raises
    ------
    RunError
        Neither memory nor disk are enough for the events.
    """
    with (
        tempfile.TemporaryDirectory(prefix="rooflines-trace-") as spill,
        duckdb.connect(config={**_CONFIG, "temp_directory": spill}) as connection,
    ):
        connection.execute("set enable_progress_bar = false")
        try:
            yield connection
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            reason = str(error).splitlines()[0]
            raise RunError(f"{path}: its events do not fit in memory or in {spill}: {reason}") from None


def execute(connection: duckdb.DuckDBPyConnection, name: str, values: Mapping[str, object] | None = None) -> None:
    """Run a statement of `sql/trace` that makes a table."""
    for memory in _MEMORY:
        try:
            connection.execute(f"set memory_limit = '{memory}'")
            connection.execute(load_sql(f"trace/{name}"), values)
        except duckdb.OutOfMemoryException:
            if memory == _MEMORY[-1]:
                raise
        else:
            return


def link_kernels(connection: duckdb.DuckDBPyConnection, events: Events) -> None:
    """Make the table `linked`, one row per kernel, copy and fill, from those of the events.

    Its columns are `us`, `is_tf32`, `is_tensor`, `is_kernel`, and

    - `leaf`: the op that is counted, by its row in the table `leaf`; null if there is none;
    - `name`: number of the name of the innermost op; null if there is none;
    - `replay`: the launch of a CUDA graph that it belongs to, -1 if there is none.
    """
    find_leaves(connection)
    execute(connection, "op_leaf")
    owners = _find_processes(connection, events)
    add_numbers(connection, "device_process", {"device": list(owners), "process": list(owners.values())})
    execute(connection, "launch", {"launch": LAUNCH})
    connection.execute("drop table op")
    execute(connection, "placed_kernel", {"graph_launch": GRAPH_LAUNCH})
    execute(connection, "recorded", {"begin": BEGIN_CAPTURE, "end": END_CAPTURE})
    execute(connection, "replayed", {"most_captures": _MAX_CAPTURES})
    execute(connection, "linked")


def find_leaves(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table `leaf`: the ops that are counted and contain no other op that is."""
    execute(connection, "repeated_id")
    execute(connection, "leaf")


def add_numbers(connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, list[int]]) -> None:
    """Make a table of whole numbers."""
    connection.register("given", ArrowStream(pl.DataFrame(columns, dict.fromkeys(columns, pl.Int64))))
    connection.execute(f"create table {table} as from given")
    connection.unregister("given")


def _find_processes(connection: duckdb.DuckDBPyConnection, events: Events) -> dict[int, int]:
    """Return the process that launched the kernels of each device, where the device tells it.

    In a trace of several ranks the same ids occur in several processes. Then a device belongs to the process with the
    same rank in its name, else to the one that alone has ids of its kernels, else the devices and the processes are in
    the same order.
    """
    processes = fetch_column(connection, "select distinct process from op order by process")
    devices = fetch_column(connection, "select distinct device from kernel")
    if len(processes) == 1:
        return dict.fromkeys(devices, processes[0])
    if not fetch_count(connection, "select count(*) from op_leaf where not is_only"):
        return {}
    return _match_devices(connection, devices, processes, events)


def _match_devices(
    connection: duckdb.DuckDBPyConnection, devices: Sequence[int], processes: Sequence[int], events: Events
) -> dict[int, int]:
    ranks = {find_rank(name): number for name, number in events.processes.items() if number in processes}
    names = {number: name for name, number in events.devices.items()}
    ordered = sorted(devices, key=lambda device: _natural(names[device]))
    stated = {device: find_rank(names[device]) for device in ordered}
    found = {device: ranks[rank] for device, rank in stated.items() if rank is not None and rank in ranks}
    if found:
        return found
    found = {device: process for device, process, _ in fetch_rows(connection, load_sql("trace/device_vote"))}
    left = [process for process in processes if process not in found.values()]
    others = [device for device in ordered if device not in found]
    if len(left) == len(others):  # processes are numbered in the order of the file
        found |= dict(zip(others, left, strict=True))
    return found


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() and len(name) <= _MAX_DIGITS else (0, name)
