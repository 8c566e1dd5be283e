"""The lake: what several homes have published, in one DuckLake that each pushes to and pulls from.

Every home is a writer of its own. It owns its rows in the lake's schema `pushed`; the views in `core` show, of several
writers' rows with one key, those of the last push, and the views in `mart` are those of every snapshot.
"""

import os
import platform
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from warehouse import snapshot
from warehouse.bucket import is_bucket, let_use
from warehouse.build import is_pulled
from warehouse.connection import WRITING, transaction
from warehouse.digest import digest_of
from warehouse.errors import InputError, RunError, one_line
from warehouse.extensions import load_extension, reason_without
from warehouse.home import Home
from warehouse.load import core_columns, core_keys
from warehouse.migrations import migrate
from warehouse.rows import fetch_column, fetch_row, fetch_rows, fetch_value
from warehouse.runs import Run, finish_run, new_run_id, start_run, time_run
from warehouse.sql_files import sql_files, sql_folder, views_in_order
from warehouse.sql_values import literal
from warehouse.version import code_version, cost_formulas
from warehouse.views import create_views

T = TypeVar("T")

_TRIES = 20
_LONGEST_WAIT_S = 2.0
_CONNECT_TIMEOUT_S = "10"

_NAME = re.compile(r"(?!shipped$)[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PASSWORD = re.compile(r"(?i)password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)|(?<=://)[^:/@\s]*:([^@\s]*)@")
_COLUMN_COMMENTS = re.compile(r"^comment on column .*;\n?", re.MULTILINE)  # DuckLake has none of views
_REASON = re.compile(r"connection to server.*|could not translate.*", re.DOTALL)
# what DuckLake and PostgreSQL say of two who change one thing, or make one lake
_CONFLICT = re.compile("conflict|serialize|already exists|duplicate key|concurrently|deadlock", re.IGNORECASE)

# tables whose rows name files of their home
_STAYING = {"sweep", "sweep_part"}
# tables whose rows are shown of writers that describe these alike
_DESCRIBED = {
    "hardware": ("device", "hardware_id"),
    "calibration": ("device", "hardware_id"),
    "model": ("model", "model_id"),
    "model_shard": ("model", "model_id"),
    "op_set": ("model", "op_set_id"),
    "op_shape": ("model", "model_id"),
    "precision": ("precision", "precision_id"),
}


@dataclass(frozen=True)
class Pushed:
    """What a push did: rows that were taken out of the lake and put into it."""

    taken_out: int
    put_in: int

    @property
    def touched(self) -> int:
        """Rows that were written."""
        return self.taken_out + self.put_in


@dataclass(frozen=True)
class Pulled:
    """What a pull did: the run that it is in the home, or None where the home had it all, and the lake's writers."""

    run_id: str | None
    writers: list[str]


def default_writer() -> str:
    """Return the name that a home pushes under where none is given: that of the machine."""
    return re.sub(r"[^\w.-]", "-", platform.node()) or "writer"


def push(home: Home, address: str, writer: str, data: str | None = None, *, replace: bool = False) -> Pushed:
    """Make a writer's rows in the lake equal to its home's snapshot, in one transaction.

    Only rows that differ are written; nothing is where none does.

    Parameters
    ----------
    home
        The home whose snapshot is pushed.
    address
        What DuckLake takes after `ducklake:`.
    writer
        The name that owns the rows.
    data
        Folder, or s3:// address, for the files of a lake that is not there yet.
    replace
        Take the place of what another home pushed under this name.

    Raises
    ------
    InputError
        The lake cannot be reached or is of another version, or the snapshot or the writer's name cannot be pushed.
    RunError
        It broke off; the lake is as it was.
    """
    if not _NAME.fullmatch(writer):
        raise InputError(f"--writer: {writer}; expected letters, digits, dots, dashes and underscores")

    def prepare(connection: duckdb.DuckDBPyConnection) -> None:
        _bring_up_to_date(connection, layout)

    def change(connection: duckdb.DuckDBPyConnection) -> Pushed:
        last = fetch_value(connection, "select max(run_id) from pushed.writer where writer = ?", [writer])
        if not replace:
            _refuse_foreign_rows(connection, writer)
        same = _unchanged_tables(connection, last, run_id)
        tables = [table for table in layout.columns if table not in same | _STAYING]
        counts = [_push_table(connection, layout, table, writer) for table in tables]
        pushed = Pushed(sum(taken_out for taken_out, _ in counts), sum(put_in for _, put_in in counts))
        if pushed.touched:
            _sign(connection, layout, writer, run_id)
        return pushed

    run_id, layout = _fit_to_push(home)
    with home.writing():
        return _changed(address, change, data, home, prepare)


def pull(home: Home, address: str) -> Pulled:
    """Publish what the lake shows as the snapshot of a home that is for nothing else.

    Raises
    ------
    InputError
        The lake cannot be reached, holds nothing or is of another version; or the home has runs of its own.
    RunError
        It broke off; the home is as it was.
    """
    with home.writing():
        _refuse_own_runs(home)
        with _opened(address, ["read_only"]) as connection, _whole(address):
            _refuse_other_version(connection)
            writers, (version,) = _writers(connection), _row(connection, "from ducklake_current_snapshot('lake')")
            lake = fetch_rows(connection, "select option_name, value from ducklake_options('lake')")
            inputs_sha256 = digest_of([*map(str, lake), str(version), code_version()])
            if snapshot.last_published(home)[1] == inputs_sha256:
                return Pulled(None, writers)
            now = datetime.now(UTC)
            run = Run(new_run_id(now), now, code_version(), inputs_sha256, None)
            candidate = snapshot.new_candidate(home, connection, lambda: _fill(connection, address, version, run))
        snapshot.promote(candidate, home, run.run_id)
        return Pulled(run.run_id, writers)


def remove(address: str, writer: str) -> int:
    """Take every row of a writer out of the lake, and return how many there were.

    Raises
    ------
    InputError
        The lake cannot be reached or is of another version, or has no such writer.
    RunError
        It broke off; the lake is as it was.
    """

    def change(connection: duckdb.DuckDBPyConnection) -> int:
        _refuse_other_version(connection)
        writers = _writers(connection)
        if writer not in writers:
            raise InputError(f"--writer: {writer}: has pushed nothing; expected one of {', '.join(writers) or 'none'}")
        owned = "select table_name from duckdb_columns() where database_name = 'lake' and schema_name = 'pushed'"
        tables = fetch_column(connection, f"{owned} and column_name = 'writer'")
        tables.remove("agreed")  # a view
        connection.execute("delete from pushed.writer where writer = ?", [writer])
        return sum(_row(connection, f"delete from pushed.{table} where writer = ?", writer)[0] for table in tables)

    return _changed(address, change)


@dataclass(frozen=True)
class _Layout:
    """Columns and keys of the tables of a home, and what they mean."""

    columns: dict[str, list[str]]
    keys: dict[str, list[str]]
    comments: dict[str, str]
    costs_sha256: str


def _fit_to_push(home: Home) -> tuple[str, _Layout]:
    """Return the run of a home's snapshot and the layout of its tables, where it can be pushed."""
    with snapshot.open_snapshot(home.snapshot) as connection:
        if is_pulled(connection):
            raise InputError(f"{home.snapshot}: was pulled from a lake; expected a home with runs of its own")
        run_id, _ = snapshot.published_run(connection)
        if (
            _row(connection, "select any_value(code_version) from core.run where run_id = ?", run_id)[0]
            != code_version()
        ):
            raise InputError(f"{home.snapshot}: was made by another version of this program; `rooflines run` first")
        elementwise = fetch_rows(connection, "select * exclude (origin, note, source_id) from core.elementwise")
        comments = "select table_name, comment from duckdb_tables() where schema_name = 'core'"
        columns = {name: each for name, each in core_columns(connection).items() if name != "schema_migration"}
        return run_id, _Layout(
            columns,
            core_keys(connection),
            dict(fetch_rows(connection, comments)),
            digest_of([cost_formulas(), *map(str, elementwise)]),
        )


def _refuse_own_runs(home: Home) -> None:
    is_own = home.build.exists()
    if not is_own and home.snapshot.exists():
        with snapshot.open_snapshot(home.snapshot) as connection:
            is_own = not is_pulled(connection)
    if is_own:
        raise InputError(f"home: {home.path}: has runs of its own; expected --home with a folder for the lake alone")


def _changed(
    address: str,
    change: Callable[[duckdb.DuckDBPyConnection], T],
    data: str | None = None,
    home: Home | None = None,
    prepare: Callable[[duckdb.DuckDBPyConnection], None] = lambda _: None,
) -> T:
    """Make a change to the lake in one transaction, and again where another writer's came between.

    What all prepare alike, as the tables of a new lake, is a transaction of its own: there they meet most often,
    and no row is written in vain.
    """
    options = [f"data_path {literal(_data_path(data))}"] if data else ["create_if_not_exists false"]
    for attempt in range(1, _TRIES + 1):
        try:
            with _opened(address, options, data or "") as connection:
                if home is not None:
                    connection.execute(f"attach {literal(home.snapshot)} as home (read_only)")
                with transaction(connection):
                    prepare(connection)
                with transaction(connection):
                    return change(connection)
        except duckdb.Error as error:
            if attempt == _TRIES or not _CONFLICT.search(str(error)):
                raise RunError(f"lake: it broke off and changed nothing: {_shown(error, address)}") from None
        time.sleep(random.uniform(0.1, min(_LONGEST_WAIT_S, 0.2 * attempt)))
    raise AssertionError


@contextmanager
def _opened(address: str, options: Sequence[str], data: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection that uses the lake."""
    with duckdb.connect(config=WRITING) as connection:
        connection.execute("set TimeZone = 'UTC'")
        _attach(connection, address, options, data)
        connection.execute("use lake")
        yield connection


def _attach(connection: duckdb.DuckDBPyConnection, address: str, options: Sequence[str], data: str = "") -> None:
    for name in ("ducklake", "postgres_scanner"):
        load_extension(connection, name, "lake")
    if is_bucket(data) or reason_without("httpfs", "s3") is None:  # where its data are, only the lake itself knows
        let_use(connection)
    os.environ.setdefault("PGCONNECT_TIMEOUT", _CONNECT_TIMEOUT_S)
    try:
        connection.execute(f"attach {literal(f'ducklake:{address}')} as lake ({', '.join(options)})")
    except duckdb.Error as error:
        if _CONFLICT.search(str(error)):  # with another who makes the lake
            raise
        if "creating a new DuckLake is explicitly disabled" in str(error) or "read-only" in str(error):
            shown = f"{_shown(address, address)}: no lake there; `rooflines lake push --data FOLDER` makes one"
        elif "httpfs" in str(error) and (lacking := reason_without("httpfs", "s3")):
            shown = f"{_shown(address, address)}: {lacking}"
        else:
            reason = _REASON.search(str(error))
            shown = f"{_shown(address, address)}: {_shown(reason[0] if reason else error, address)}"
        raise InputError(f"lake: {shown}") from None


def _data_path(data: str) -> str:
    return data if "://" in data else str(Path(data).expanduser().absolute())


@contextmanager
def _whole(address: str) -> Iterator[None]:
    """Say in one line, without a password, that reading broke off."""
    try:
        yield
    except duckdb.Error as error:
        raise RunError(f"lake: it broke off: {_shown(error, address)}") from None


def _shown(message: object, address: str) -> str:
    """Return a message without the passwords that an address holds."""
    text = one_line(message)
    for found in _PASSWORD.finditer(address):
        secret = found[1] or found[2]
        text = text.replace(secret, "…").replace(secret.strip("'"), "…")
    return text


def _bring_up_to_date(connection: duckdb.DuckDBPyConnection, layout: _Layout) -> None:
    """Make the lake's tables where there are none, and its views where they are not those of this version."""
    if not _is_made(connection):
        for schema in ("pushed", "core", "mart"):
            connection.execute(f"create schema if not exists {schema}")
        connection.execute(_sql("state"))
        connection.execute("insert into pushed.lake values (?, '')", [_schema_version()])
        connection.execute(_sql("writer").format(schema="pushed"))
        for table, columns in layout.columns.items():
            connection.execute(f"create table pushed.{table} as {_own_rows(table, columns, '')} limit 0")
            connection.execute(f"comment on table pushed.{table} is 'rows of core.{table}, of every writer'")
    _refuse_other_version(connection)
    views = _views(layout)
    digest = digest_of(views)
    if _row(connection, "select views_sha256 from pushed.lake")[0] != digest:
        for view in views:
            connection.execute(view)
        connection.execute("update pushed.lake set views_sha256 = ?", [digest])


def _views(layout: _Layout) -> list[str]:
    """Return the statements that make the lake's views, each after what it reads."""
    core = [_core_view(table, layout) for table in layout.columns]
    described = [f"comment on view core.{table} is {literal(layout.comments[table])}" for table in layout.columns]
    functions = [path.read_text("utf-8") for path in sql_files("functions")]
    mart = [_COLUMN_COMMENTS.sub("", sql).replace("{parts}", "") for _, sql in views_in_order()]
    return [_sql("agreed"), *core, *described, *functions, *mart]


def _core_view(table: str, layout: _Layout) -> str:
    if (sql_folder() / "lake" / "core" / f"{table}.sql").exists():
        return _sql(f"core/{table}")
    columns, keys = (", ".join(f"own.{name}" for name in names[table]) for names in (layout.columns, layout.keys))
    if table not in _DESCRIBED:
        return _sql("latest").format(table=table, columns=columns, keys=keys)
    kind, key = _DESCRIBED[table]
    return _sql("latest_agreed").format(table=table, columns=columns, keys=keys, kind=kind, id=key)


def _unchanged_tables(connection: duckdb.DuckDBPyConnection, last_run_id: str | None, run_id: str) -> set[str]:
    """Return the tables whose rows are made from the same as when the writer pushed last."""
    then, now = (dict(fetch_rows(connection, _sql("made_from"), {"run_id": run})) for run in (last_run_id, run_id))
    same = {table for table, digest in now.items() if then.get(table) == digest}
    return same if "model" in same else same - {"workload"}  # which names the models


def _push_table(connection: duckdb.DuckDBPyConnection, layout: _Layout, table: str, writer: str) -> tuple[int, int]:
    """Make a writer's rows of a table equal to those of its home; return how many were taken out and put in."""
    columns, keys = layout.columns[table], ", ".join(layout.keys[table])
    connection.execute(f"create or replace temp table own_row as {_own_rows(table, columns, writer)}")
    names = {"table": table, "columns": ", ".join(columns), "keys": keys, "writer": writer}
    (taken_out,) = _row(connection, _sql("take_out").format(**names))
    (put_in,) = _row(connection, _sql("put_in").format(**names))
    return taken_out, put_in


def _own_rows(table: str, columns: Sequence[str], writer: str) -> str:
    """Return the query of a home's rows of a table, with names that mean the same in every home."""
    own = {
        column: f"if(source_id like 'shipped/%', {column}, '{writer}/' || {column})"
        for column in ("source_id", "measurement_id")
    }
    if table == "workload":
        own["models"] = "coalesce(models, (select list(model_id order by model_id) from home.core.model))"
    chosen = ", ".join(f"{own.get(column, column)} as {column}" for column in columns)
    where = " where false" if table in _STAYING else ""
    return f"select {literal(writer)} as writer, {chosen} from home.core.{table}{where}"


def _sign(connection: duckdb.DuckDBPyConnection, layout: _Layout, writer: str, run_id: str) -> None:
    """Record that a writer has pushed, after all others whatever the clocks say."""
    last = "select coalesce(max(pushed_at) + interval 1 microsecond, ?) from pushed.writer"
    now = datetime.now(UTC)
    pushed_at = max(now, _row(connection, last, now)[0])
    connection.execute("delete from pushed.writer where writer = ?", [writer])
    row = [writer, pushed_at, run_id, code_version(), layout.costs_sha256]
    connection.execute("insert into pushed.writer values (?, ?, ?, ?, ?)", row)


def _refuse_foreign_rows(connection: duckdb.DuckDBPyConnection, writer: str) -> None:
    last = "select run_id from pushed.writer where writer = ? and run_id not in (select run_id from home.core.run)"
    if fetch_rows(connection, last, [writer]):
        mend = "expected a name of this home's own, or --replace to take the place of its rows"
        raise InputError(f"--writer: {writer}: another home pushed under this name; {mend}")


def _is_made(connection: duckdb.DuckDBPyConnection) -> bool:
    tables = "select count(*) from duckdb_tables() where database_name = 'lake' and schema_name = 'pushed'"
    return bool(_row(connection, f"{tables} and table_name = 'lake'")[0])


def _refuse_other_version(connection: duckdb.DuckDBPyConnection) -> None:
    if not _is_made(connection):
        raise InputError("lake: nothing was pushed to it yet; `rooflines lake push` does")
    (version,) = _row(connection, "select schema_version from pushed.lake")
    if version != _schema_version():
        other = "an older" if version < _schema_version() else "a newer"
        mend = "expected a lake of this version: homes push to a new one, or have that version too"
        raise InputError(f"lake: has tables of {other} version ({version}, not {_schema_version()}); {mend}")


def _schema_version() -> int:
    return max(int(path.name.split("_")[0]) for path in sql_files("migrations"))


def _writers(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return fetch_column(connection, "select distinct writer from pushed.writer order by 1")


def _fill(connection: duckdb.DuckDBPyConnection, address: str, version: int, run: Run) -> None:
    """Fill the new database in use with what the lake shows at one of its versions."""
    connection.execute("detach lake")
    migrate(connection)
    keys, tables = core_keys(connection), core_columns(connection).keys() - {"schema_migration"} - _STAYING
    connection.execute("delete from core.phase")  # what a migration put there
    connection.execute(_sql("writer").format(schema="core"))
    _attach(connection, address, ["read_only", f"snapshot_version {version}"])
    with transaction(connection):
        for table in sorted(tables):
            rows = f"select * from lake.core.{table} order by {', '.join(keys[table])}"
            connection.execute(f"insert into core.{table} by name {rows}")
        connection.execute("insert into core.writer by name select * from lake.pushed.writer order by writer")
    connection.execute("detach lake")
    _record_pull(connection, run)


def _record_pull(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    """Record a pull as a run that loaded every table, and create the views."""
    start_run(connection, run)
    with transaction(connection):
        for table in core_columns(connection):
            content = f"select count(*), coalesce(bit_xor(hash(content)), 0) from core.{table} as content"
            rows, digest = _row(connection, content)
            row = [run.run_id, table, rows, rows, 0, 0, digest_of([str(digest)])]
            connection.execute("insert into core.run_change values (?, ?, ?, ?, ?, ?, ?)", row)
        create_views(connection)
    time_run(connection, run.run_id)
    finish_run(connection, run.run_id, "succeeded")


def _sql(name: str) -> str:
    return (sql_folder() / "lake" / f"{name}.sql").read_text("utf-8")


def _row(connection: duckdb.DuckDBPyConnection, sql: str, *values: object) -> tuple[Any, ...]:
    return fetch_row(connection, sql, values) or ()
