"""Rows that pages show, kept from one publication to the next: a query whose tables did not change is not asked."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import duckdb
import polars as pl

from warehouse.digest import digest_of
from warehouse.polars_frames import read_frame
from warehouse.staged_frames import stage_frames, staged_files
from warehouse.table_digests import TableDigests
from warehouse.version import code_version

# the devices whose answers pages of models show
COMMON_DEVICES = ("a100-80gb-sxm", "h100-sxm", "h200-sxm", "b200", "mi300x", "mi355x", "rtx-4090")
# queries that take long -> the table without whose rows a device is not in their result; without one, any device is
_OF_DEVICES_IN = {
    "device_measured": "core.measurement",
    "kernel_errors": "core.measurement",
    "measured": "core.measurement",
    "step_errors": "core.step_measurement",
}
_OF_COMMON_DEVICES = {"model_answers"}
_OF_ANY_DEVICE = {"device_crossovers", "held", "model_crossovers", "steps"}
KEPT = {*_OF_DEVICES_IN, *_OF_COMMON_DEVICES, *_OF_ANY_DEVICE}


def read_queries(
    connection: duckdb.DuckDBPyConnection, queries: Mapping[str, str], kept: "KeptRows | None"
) -> dict[str, pl.DataFrame]:
    """Return the rows of queries by the names of their files, from the kept ones if there are any."""
    return {
        name: kept.read(connection, name, sql) if kept else read_frame(connection, sql) for name, sql in queries.items()
    }


class KeptRows:
    """The rows of queries, from a folder if they were asked of the same code and tables, else from the database.

    Parameters
    ----------
    connection
        The snapshot; `read` may be given another connection to it.
    folder
        Where rows are kept, e.g. that of a home; without one, or if it cannot be written, every query is asked.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path | None) -> None:
        self._folder, self._tables = folder, TableDigests(connection)

    def read(self, connection: duckdb.DuckDBPyConnection, name: str, sql: str) -> pl.DataFrame:
        """Return the rows of a query; `name` is that of its file."""
        digest = self.find_digest(name, sql) if name in KEPT and self._folder else ""
        if not digest or self._folder is None:
            return read_frame(connection, sql)
        made_from = [name, sql, digest, code_version()]
        file = staged_files(self._folder, [name], made_from)[name].path
        with suppress(OSError, pl.exceptions.PolarsError):
            stage_frames(self._folder, [name], made_from, lambda: {name: read_frame(connection, sql)})
            rows = pl.read_parquet(file, glob=False)
            for old in set(self._folder.glob(f"{name}-*.parquet")) - {file}:
                old.unlink(missing_ok=True)
            return rows
        with suppress(OSError):  # it cannot be read
            file.unlink(missing_ok=True)
        return read_frame(connection, sql)

    def find_digest(self, name: str, sql: str) -> str:
        """Return a digest of the rows that a query reads; empty if that is not known."""
        devices = self.list_devices(name)
        digest = self._tables.digest(self._tables.find_tables(sql), devices)
        return digest and digest_of([digest, *devices])

    def list_devices(self, name: str) -> Sequence[str]:
        """Return the devices whose rows alone a query reads; none if it may read those of any device."""
        if name in _OF_COMMON_DEVICES:
            return COMMON_DEVICES
        return self._tables.list_devices(_OF_DEVICES_IN[name]) if name in _OF_DEVICES_IN else ()
