"""Publish the content of the lake as the snapshot of a home."""

from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from warehouse import snapshot
from warehouse.build import is_pulled
from warehouse.connection import transaction
from warehouse.digest import digest_of
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.lake.connection import attach_lake, explain_read_errors, open_lake
from warehouse.lake.tables import LOCAL_TABLES, list_writers, refuse_other_version
from warehouse.load import read_core_columns, read_core_keys
from warehouse.migrations import create_tables
from warehouse.rows import fetch_rows, fetch_value
from warehouse.runs import Run, finish_run, make_run_id, mark_rows_ready, start_run
from warehouse.sql_files import load_sql
from warehouse.sql_values import quote_name, quote_names
from warehouse.version import code_version
from warehouse.views import create_views


@dataclass(frozen=True)
class PullResult:
    """The run that a pull is in its home, None if the home was up to date, and the lake's writers."""

    run_id: str | None
    writers: list[str]


def pull_lake(home: Home, address: str) -> PullResult:
    """Publish what the lake shows as the snapshot of a home that serves nothing else.

    Raises
    ------
    InputError
        The lake cannot be reached, holds nothing or is of another version; or the home has runs of its own.
    RunError
        The pull broke off; the home is as it was.
    """
    with home.lock_for_writing():
        _refuse_own_runs(home)
        with open_lake(address, ["read_only"]) as connection, explain_read_errors(address):
            refuse_other_version(connection)
            writers = list_writers(connection)
            version = fetch_value(connection, "from ducklake_current_snapshot('lake')")
            lake = fetch_rows(connection, "select option_name, value from ducklake_options('lake')")
            inputs_sha256 = digest_of([*map(str, lake), str(version), code_version()])
            if snapshot.find_published_run(home)[1] == inputs_sha256:
                return PullResult(None, writers)
            now = datetime.now(UTC)
            run = Run(make_run_id(now), now, code_version(), inputs_sha256, None)
            candidate = snapshot.fill_candidate(home, connection, lambda: _fill(connection, address, version, run))
        snapshot.promote(candidate, home, run.run_id)
        return PullResult(run.run_id, writers)


def _refuse_own_runs(home: Home) -> None:
    is_own = home.build.exists()
    if not is_own and home.snapshot.exists():
        with snapshot.open_snapshot(home.snapshot) as connection:
            is_own = not is_pulled(connection)
    if is_own:
        raise InputError(f"home: {home.path}: has runs of its own; expected --home with a folder for the lake alone")


def _fill(connection: duckdb.DuckDBPyConnection, address: str, version: int, run: Run) -> None:
    """Fill the new database in use with what the lake shows at one of its versions."""
    connection.execute("detach lake")
    create_tables(connection)
    keys, tables = read_core_keys(connection), read_core_columns(connection).keys() - {"schema_migration"}
    connection.execute("delete from core.phase")  # which `create_tables` filled
    connection.execute(load_sql("lake/writer", schema="core"))
    attach_lake(connection, address, ["read_only", f"snapshot_version {version}"])
    with transaction(connection):
        for table in sorted(tables - LOCAL_TABLES):
            rows = f"select * from {quote_name('lake', 'core', table)} order by {quote_names(keys[table])}"
            connection.execute(f"insert into {quote_name('core', table)} by name {rows}")
        connection.execute("insert into core.writer by name select * from lake.pushed.writer order by writer")
    connection.execute("detach lake")
    _record_pull(connection, run)


def _record_pull(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    """Record a pull as a run that loaded every table, and create the views."""
    start_run(connection, run)
    with transaction(connection):
        for table in read_core_columns(connection):
            content = "select count(*), coalesce(bit_xor(hash(content)), 0) from {} as content"
            ((rows, digest),) = fetch_rows(connection, content.format(quote_name("core", table)))
            row = [run.run_id, table, rows, rows, 0, 0, digest_of([str(digest)])]
            connection.execute("insert into core.run_change values (?, ?, ?, ?, ?, ?, ?)", row)
        create_views(connection)
    mark_rows_ready(connection, run.run_id)
    finish_run(connection, run.run_id, "succeeded")
