"""Push a home's snapshot to the lake, and remove a writer's rows from it.

Each home is a writer of its own. It owns its rows in the lake's schema `pushed`. If several writers have rows with one
key, the views in `core` show those of the last push; the views in `mart` are those of every snapshot.
"""

import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from warehouse import snapshot
from warehouse.build import is_pulled
from warehouse.digest import digest_of
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.lake.connection import change_lake
from warehouse.lake.tables import (
    LOCAL_TABLES,
    Layout,
    list_writers,
    refuse_other_version,
    select_own_rows,
    update_tables,
)
from warehouse.load import read_core_columns, read_core_keys
from warehouse.rows import fetch_column, fetch_rows, fetch_value
from warehouse.sql_files import load_sql
from warehouse.sql_values import quote_name, quote_names
from warehouse.version import code_version, cost_formulas

_NAME = re.compile(r"(?!shipped$)[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class PushResult:
    """How many rows a push took out of the lake and put into it."""

    taken_out: int
    put_in: int

    @property
    def touched(self) -> int:
        """Rows that were written."""
        return self.taken_out + self.put_in


def default_writer() -> str:
    """Return the name that a home pushes under if none is given: that of the machine."""
    return re.sub(r"[^\w.-]", "-", platform.node()) or "writer"


def push_home(home: Home, address: str, writer: str, data: str | None = None, *, replace: bool = False) -> PushResult:
    """Make a writer's rows in the lake equal to its home's snapshot, in one transaction.

    Only rows that differ are written; if none does, nothing is.

    Parameters
    ----------
    home
        The home whose snapshot is pushed.
    address
        What DuckLake takes after `ducklake:`.
    writer
        The name that owns the rows.
    data
        Folder, or s3:// address, for the files of a lake that does not exist yet.
    replace
        Replace what another home pushed under this name.

    Raises
    ------
    InputError
        The lake cannot be reached or is of another version, or the snapshot or the writer's name cannot be pushed.
    RunError
        The push broke off; the lake is as it was.
    """
    if not _NAME.fullmatch(writer):
        raise InputError(f"--writer: {writer}; expected letters, digits, dots, dashes and underscores")

    def prepare(connection: duckdb.DuckDBPyConnection) -> None:
        update_tables(connection, layout)

    def change(connection: duckdb.DuckDBPyConnection) -> PushResult:
        last = fetch_value(connection, "select max(run_id) from pushed.writer where writer = ?", [writer])
        if not replace:
            _refuse_foreign_rows(connection, writer)
        same = _find_unchanged_tables(connection, last, run_id)
        tables = [table for table in layout.columns if table not in same | LOCAL_TABLES]
        counts = [_push_table(connection, layout, table, writer) for table in tables]
        pushed = PushResult(sum(taken_out for taken_out, _ in counts), sum(put_in for _, put_in in counts))
        if pushed.touched:
            _record_push(connection, layout, writer, run_id)
        return pushed

    run_id, layout = _read_layout(home)
    with home.lock_for_writing():
        return change_lake(address, change, data, home, prepare)


def remove_writer(address: str, writer: str) -> int:
    """Delete every row of a writer from the lake, and return how many there were.

    Raises
    ------
    InputError
        The lake cannot be reached or is of another version, or has no such writer.
    RunError
        It broke off; the lake is as it was.
    """

    def change(connection: duckdb.DuckDBPyConnection) -> int:
        refuse_other_version(connection)
        writers = list_writers(connection)
        if writer not in writers:
            expected = f"expected one of {', '.join(writers)}" if writers else "nobody has"
            raise InputError(f"--writer: {writer}: has pushed nothing; {expected}")
        owned = "select table_name from duckdb_columns() where database_name = 'lake' and schema_name = 'pushed'"
        tables = fetch_column(connection, f"{owned} and column_name = 'writer'")
        tables.remove("agreed")  # a view
        connection.execute("delete from pushed.writer where writer = ?", [writer])
        deletions = [f"delete from {quote_name('pushed', table)} where writer = ?" for table in tables]
        return sum(fetch_value(connection, deletion, [writer]) for deletion in deletions)

    return change_lake(address, change)


def _read_layout(home: Home) -> tuple[str, Layout]:
    """Return the run of a home's snapshot and the layout of its tables.

    Raises
    ------
    InputError
        The snapshot cannot be pushed: it was pulled from a lake, or another version made it.
    """
    with snapshot.open_snapshot(home.snapshot) as connection:
        if is_pulled(connection):
            raise InputError(f"{home.snapshot}: was pulled from a lake; expected a home with runs of its own")
        snapshot.refuse_earlier_version(connection)
        run_id, _ = snapshot.read_published_run(connection)
        version = "select any_value(code_version) from core.run where run_id = ?"
        if fetch_value(connection, version, [run_id]) != code_version():
            raise InputError(f"{home.snapshot}: was made by another version; `rooflines run` renews it")
        elementwise = fetch_rows(connection, "select * exclude (origin, note, source_id) from core.elementwise")
        comments = "select table_name, comment from duckdb_tables() where schema_name = 'core'"
        columns = {name: each for name, each in read_core_columns(connection).items() if name != "schema_migration"}
        return run_id, Layout(
            columns,
            read_core_keys(connection),
            dict(fetch_rows(connection, comments)),
            digest_of([cost_formulas(), *map(str, elementwise)]),
        )


def _find_unchanged_tables(connection: duckdb.DuckDBPyConnection, last_run_id: str | None, run_id: str) -> set[str]:
    """Return the tables whose rows are made from the same inputs as at the writer's last push."""
    made_from = load_sql("lake/made_from")
    then, now = (dict(fetch_rows(connection, made_from, {"run_id": run})) for run in (last_run_id, run_id))
    same = {table for table, digest in now.items() if then.get(table) == digest}
    return same if "model" in same else same - {"workload"}  # which names the models


def _push_table(connection: duckdb.DuckDBPyConnection, layout: Layout, table: str, writer: str) -> tuple[int, int]:
    """Make a writer's rows of a table equal to those of its home; return how many were taken out and put in."""
    columns, owner = layout.columns[table], {"writer": writer}
    connection.execute(f"create or replace temp table own_row as {select_own_rows(table, columns)}", owner)
    pushed, keys = quote_name("pushed", table), quote_names(layout.keys[table])
    take_out = load_sql("lake/take_out", table=pushed, columns=quote_names(columns), keys=keys)
    put_in = load_sql("lake/put_in", table=pushed, keys=keys)
    return fetch_value(connection, take_out, owner), fetch_value(connection, put_in, owner)


def _record_push(connection: duckdb.DuckDBPyConnection, layout: Layout, writer: str, run_id: str) -> None:
    """Record that a writer has pushed, later than all others whatever the clocks say."""
    last = "select coalesce(max(pushed_at) + interval 1 microsecond, ?) from pushed.writer"
    now = datetime.now(UTC)
    pushed_at = max(now, fetch_value(connection, last, [now]))
    connection.execute("delete from pushed.writer where writer = ?", [writer])
    row = [writer, pushed_at, run_id, code_version(), layout.costs_sha256]
    connection.execute("insert into pushed.writer values (?, ?, ?, ?, ?)", row)


def _refuse_foreign_rows(connection: duckdb.DuckDBPyConnection, writer: str) -> None:
    last = "select run_id from pushed.writer where writer = ? and run_id not in (select run_id from home.core.run)"
    if fetch_rows(connection, last, [writer]):
        expected = "expected another name, or --replace to replace its rows"
        raise InputError(f"--writer: {writer}: another home pushed under this name; {expected}")
