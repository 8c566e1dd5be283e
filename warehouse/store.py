"""The build database: migrate it, load a run in one transaction, hold the rules against it."""

import logging
import re
import secrets
import shutil
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from warehouse.bucket import Location, let_use, located
from warehouse.database_file import STORAGE, UPGRADE, refuse_later_file, refuse_unopenable_file
from warehouse.engine import warn_of_untried_engine
from warehouse.errors import InputError, LaterVersionError, disk_trouble, one_line
from warehouse.home import Home
from warehouse.rows import fetch_column, fetch_row, fetch_rows, fetch_value
from warehouse.sql_files import read_names, sql_files, sql_folder, views_in_order

# by table of core how many rows it has, and a digest of them
Contents = dict[str, tuple[int, int | None]]
Config = dict[str, str | bool | int | float | list[str]]

OFFLINE: Config = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
WRITING: Config = {**OFFLINE, "storage_compatibility_version": STORAGE, "memory_limit": "1500MB"}

# keys of tables without an index
_KEYS = {"op_cost": ["shape_id", "precision_id"]}
_COMMENTS = "select schema_name || '.' || table_name, column_name, comment from duckdb_columns()"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What is known of a run when it starts."""

    run_id: str
    started_at: datetime
    code_version: str
    inputs_sha256: str | None
    flow_run_id: str | None


@dataclass(frozen=True)
class Staged:
    """A Parquet file that holds every row of one table, and the digest of what it was made from."""

    path: Path
    inputs_sha256: str


@dataclass(frozen=True)
class Change:
    """What a load did to one table of core."""

    table: str
    rows: int
    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    @property
    def touched(self) -> int:
        """Rows that differ from before."""
        return self.inserted + self.updated + self.deleted


@dataclass(frozen=True)
class Rule:
    """One file of sql/checks, and the rows that offend it."""

    name: str
    grain: str
    offending_rows: int
    example: str


@contextmanager
def open_build(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the build database, brought up to date; start from a snapshot where it is lost or cannot be read.

    Raises
    ------
    InputError
        It was made by a later version, or the disk does not let it be written.
    RunError
        Another process has the file open, or the disk is full.
    """
    warn_of_untried_engine()
    if home.build.exists() and not home.build.is_file():
        set_aside(home)
    if not home.build.exists():
        _start_from_snapshot(home)
    try:
        connection = duckdb.connect(str(home.build), config=WRITING)
    except duckdb.Error as error:
        refuse_unopenable_file(home.build)
        if trouble := disk_trouble(error):  # with the disk, not with the file
            raise trouble from None
        set_aside(home)
        _start_from_snapshot(home)
        connection = duckdb.connect(str(home.build), config=WRITING)
    with connection:
        connection.execute("set TimeZone = 'UTC'")
        refuse_later_migrations(home.build, connection)
        migrate(connection)
        yield connection


def set_aside(home: Home) -> None:
    """Move a build database that cannot be read out of the way."""
    broken = home.build.with_suffix(".broken")
    if broken.is_dir():
        shutil.rmtree(broken)
    home.build.replace(broken)
    write_ahead_log(home.build).unlink(missing_ok=True)
    _log.warning("%s cannot be read and was moved to %s", home.build.name, broken.name)


def contents(connection: duckdb.DuckDBPyConnection) -> Contents:
    """Return by table of core how many rows it has, and a digest of them, for which every row is read."""
    names = fetch_column(connection, "select table_name from duckdb_tables() where schema_name = 'core'")
    return {
        name: fetch_rows(connection, f"select count(*), sum(hash(row)) from core.{name} as row")[0] for name in names
    }


def refuse_later_migrations(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Raise `LaterVersionError` where a database has tables or columns that this version does not know."""
    later = _applied(connection) - {_version_of(migration) for migration in sql_files("migrations")}
    if later:
        raise LaterVersionError(f"{path}: made by a later version of rooflines, of migration {max(later)}; {UPGRADE}")


def write_ahead_log(database: Path) -> Path:
    """Return the file that holds what was committed to a database and is not yet in its own file."""
    return database.with_name(f"{database.name}.wal")


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the block does, or nothing of it."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def migrate(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Apply the migrations that are pending, each in a transaction of its own, and name them."""
    pending = pending_migrations(connection)
    for path in pending:
        with transaction(connection):
            connection.execute(path.read_text("utf-8"))
            row = [_version_of(path), path.name]
            connection.execute("insert into core.schema_migration (version, name) values (?, ?)", row)
    return [path.name for path in pending]


def pending_migrations(connection: duckdb.DuckDBPyConnection) -> list[Path]:
    """Return the migrations that a database has not seen."""
    applied = _applied(connection)
    return [path for path in sql_files("migrations") if _version_of(path) not in applied]


def new_run_id(now: datetime) -> str:
    """Return the id of a run that starts now: ids sort by time."""
    return f"{now:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(2)}"


def start_run(connection: duckdb.DuckDBPyConnection, run: Run, published_run_id: str | None = None) -> None:
    """Record that a run began, and how those ended that still count as running: published or interrupted."""
    with transaction(connection):
        published = "update core.run set status = 'succeeded' where status = 'running' and run_id = ?"
        connection.execute(published, [published_run_id])
        connection.execute("update core.run set status = 'failed', error = 'interrupted' where status = 'running'")
        number = _value(connection, "select coalesce(max(run_number), 0) + 1 from core.run")
        columns = "run_id, run_number, started_at, status, code_version, inputs_sha256, flow_run_id"
        values = [run.run_id, number, run.started_at, "running", run.code_version, run.inputs_sha256, run.flow_run_id]
        connection.execute(f"insert into core.run ({columns}) values (?, ?, ?, ?, ?, ?, ?)", values)


def time_run(connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
    """Record that a run's rows are ready, whatever becomes of them."""
    update = "update core.run set finished_at = greatest(?, started_at) where run_id = ?"
    connection.execute(update, [datetime.now(UTC), run_id])


def finish_run(connection: duckdb.DuckDBPyConnection, run_id: str, status: str, error: str | None = None) -> None:
    """Record how a run ended."""
    update = "update core.run set status = ?, error = ?, finished_at = coalesce(finished_at, greatest(?, started_at))"
    connection.execute(f"{update} where run_id = ?", [status, error, datetime.now(UTC), run_id])


def note_left_out(connection: duckdb.DuckDBPyConnection, run_id: str, charts: Iterable[tuple[str, str, str]]) -> None:
    """Record the charts that a run left out, each as its file, its name and the reason."""
    for place, chart in enumerate(charts, start=1):
        connection.execute("insert into core.run_left_out values (?, ?, ?, ?, ?)", [run_id, place, *chart])


def left_out(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str]]:
    """Return the charts that the published run left out, each as its file, its name and the reason."""
    last = "select run_id from core.run where status = 'succeeded' order by run_number desc limit 1"
    charts = f"select file, name, reason from core.run_left_out where run_id = ({last}) order by place"
    return fetch_rows(connection, charts)


def loaded_digests(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return by table what its rows were made from when it was last loaded."""
    last = "select table_name, arg_max(change.inputs_sha256, run_number) from core.run_change as change"
    return dict(fetch_rows(connection, f"{last} inner join core.run using (run_id) group by table_name"))


def load(
    connection: duckdb.DuckDBPyConnection, run_id: str, staged: Mapping[str, Staged], altered: Collection[str] = ()
) -> list[Change]:
    """Make the tables equal to their staged files and renew the views, in one transaction.

    A table whose inputs are those of its last load is not read, unless it was altered since; of the
    others, only rows that differ are touched.
    """
    with transaction(connection):
        loaded, keys, columns = loaded_digests(connection), core_keys(connection), core_columns(connection)
        changes = [
            Change(table, _value(connection, f"select count(*) from core.{table}"))
            if loaded.get(table) == file.inputs_sha256 and table not in altered
            else _load_table(connection, table, file.path, keys[table], columns[table])
            for table, file in staged.items()
        ]
        for change in changes:
            counts = [change.rows, change.inserted, change.updated, change.deleted]
            row = [run_id, change.table, *counts, staged[change.table].inputs_sha256]
            connection.execute("insert into core.run_change values (?, ?, ?, ?, ?, ?, ?)", row)
        create_views(connection)
    return changes


def create_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Create every view anew, and the functions that they share.

    A column without a comment of its own takes that of the same name in what the view reads: a
    quantity has one name and one description. A sweep that lacks a file, or whose bucket cannot be read, is left out.
    """
    wanted = dict(views_in_order())
    existing = "select schema_name || '.' || view_name from duckdb_views() where schema_name = 'mart'"
    for name in fetch_column(connection, existing):
        if name not in wanted:
            connection.execute(f"drop view {name}")
    comments: dict[str, dict[str, str | None]] = defaultdict(dict)
    for table, column, comment in fetch_rows(connection, f"{_COMMENTS} where schema_name = 'core'"):
        comments[table][column] = comment
    for path in sql_files("functions"):
        connection.execute(path.read_text("utf-8"))
    parts = _parts_of_sweeps(connection)
    for name, sql in wanted.items():
        connection.execute(sql.replace("{parts}", parts))
        own = comments[name] = _column_comments(connection, name)
        inherited: dict[str, str | None] = {}
        for source in read_names(sql):
            inherited |= {column: comment for column, comment in comments[source].items() if comment}
        added = {column: inherited[column] for column, comment in own.items() if not comment and column in inherited}
        own |= added
        statements = [f"comment on column {name}.{quoted(c)} is {literal(comment)}" for c, comment in added.items()]
        connection.execute(";".join(statements))


def registered_files(connection: duckdb.DuckDBPyConnection) -> dict[str, list[Location]]:
    """Return the files of every sweep; none where the database is older than sweeps."""
    try:
        rows = fetch_rows(connection, (sql_folder() / "sweep" / "files.sql").read_text("utf-8"))
    except duckdb.CatalogException:
        return {}
    database = fetch_value(connection, "select path from duckdb_databases() where path is not null")
    home = Path(database).absolute().parent if database else Path()
    if not (home / "rooflines.duckdb").exists() and not (home / "build.duckdb").exists():
        home = home.parent  # of a snapshot that is kept
    files: dict[str, list[Location]] = defaultdict(list)
    for sweep_id, folder, path in rows:
        files[sweep_id].append(located(home, folder) / path)
    return files


def lost_files(connection: duckdb.DuckDBPyConnection) -> dict[str, list[Path]]:
    """Return the sweeps that lack files on a disk, and which."""
    found = registered_files(connection).items()
    lost = {
        sweep_id: [file for file in files if isinstance(file, Path) and not file.is_file()] for sweep_id, files in found
    }
    return {sweep_id: files for sweep_id, files in lost.items() if files}


def file_pattern(path: Location) -> str:
    """Return the pattern that means one file and no other to a DuckDB function that reads files."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def run_checks(connection: duckdb.DuckDBPyConnection) -> list[Rule]:
    """Run every rule; a rule holds where its query returns no row."""
    rules = []
    for path in sql_files("checks"):
        sql = path.read_text("utf-8")
        count = int(fetch_value(connection, f"select count(*) from (\n{sql}\n)"))
        first = fetch_row(connection, f"from (\n{sql}\n) limit 1") if count else ()
        example = ", ".join(f"{c} {v}" for c, v in zip(connection.sql(sql).columns, first or (), strict=False))
        rules.append(Rule(path.stem, sql.splitlines()[0].removeprefix("-- "), count, example))
    return rules


def is_pulled(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a snapshot was pulled from a lake: then it names the lake's writers."""
    writers = "select count(*) from duckdb_tables() where schema_name = 'core' and table_name = 'writer'"
    return bool(_value(connection, writers))


def core_keys(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Return the columns of the key of every table."""
    facts = "select table_name, constraint_column_names from duckdb_constraints() where schema_name = 'core'"
    return {**_KEYS, **dict(fetch_rows(connection, f"{facts} and constraint_type = 'PRIMARY KEY'"))}


def core_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Return the columns of every table, in their order."""
    facts = "select table_name, list(column_name order by column_index) from duckdb_columns()"
    return dict(fetch_rows(connection, f"{facts} where schema_name = 'core' group by table_name"))


def literal(value: object) -> str:
    """Write a value as a SQL literal."""
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        return repr(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    return "'" + str(value).replace("'", "''") + "'"


def quoted(name: str) -> str:
    """Write a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _applied(connection: duckdb.DuckDBPyConnection) -> set[int]:
    has_table = "select count(*) from duckdb_tables() where schema_name = 'core' and table_name = 'schema_migration'"
    if not _value(connection, has_table):
        return set()
    return set(fetch_column(connection, "select version from core.schema_migration"))


def _version_of(migration: Path) -> int:
    return int(migration.name.split("_")[0])


def _start_from_snapshot(home: Home) -> None:
    """Copy the published snapshot, or the last one that is kept and whole; without one, the tables begin empty."""
    kept = sorted(home.snapshots.glob("*.duckdb"), reverse=True)
    for path in (path for path in (home.snapshot, *kept) if path.is_file()):
        try:
            with duckdb.connect(str(path), read_only=True, config=OFFLINE) as connection:
                contents(connection)
                if is_pulled(connection):
                    raise InputError(f"{home.path}: holds what was pulled from a lake; expected a home of its own")
        except duckdb.Error as error:
            refuse_later_file(path)
            _log.warning("%s cannot be read: %s", path.name, one_line(error))
            continue
        partial = home.build.with_suffix(".partial")
        shutil.copyfile(path, partial)
        partial.replace(home.build)
        return


def _parts_of_sweeps(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the end of mart.sweep_cost, which reads the files of every sweep that has all of them."""
    template, parts = (sql_folder() / "sweep" / "parts.sql").read_text("utf-8"), []
    lost = lost_files(connection)
    for sweep_id, files in registered_files(connection).items():
        part = template.format(sweep_id=literal(sweep_id), files=literal([file_pattern(file) for file in files]))
        if sweep_id in lost:
            _log.warning("sweep %s is left out: %d files are gone", sweep_id, len(lost[sweep_id]))
        elif isinstance(files[0], Path) or _can_be_read(connection, sweep_id, part):
            parts.append(part)
    return "".join(parts)


def _can_be_read(connection: duckdb.DuckDBPyConnection, sweep_id: str, part: str) -> bool:
    """Whether the bucket of a sweep answers; to create the view, DuckDB reads one of its files."""
    try:
        with duckdb.connect(config=OFFLINE) as aside:  # what fails would end the transaction
            let_use(aside)
            fetch_rows(aside, f"describe select null as sweep_id where false {part}")
        let_use(connection)
    except (duckdb.Error, InputError) as error:
        _log.warning("sweep %s is left out: %s", sweep_id, one_line(error))
        return False
    return True


def _load_table(
    connection: duckdb.DuckDBPyConnection, table: str, file: Path, keys: Sequence[str], columns: Iterable[str]
) -> Change:
    touched: Counter[str] = Counter()
    path = literal(file_pattern(file))
    present = {name for name, *_ in fetch_rows(connection, f"describe from read_parquet({path})")}
    given = ", ".join(column for column in columns if column in present)
    if not _value(connection, f"select count(*) from core.{table}"):
        insert = f"insert into core.{table} by name select {given} from read_parquet({path})"
        touched["INSERT"] = _value(connection, insert)
    else:
        merge = (sql_folder() / "load.sql").read_text("utf-8")
        merge = merge.format(table=table, columns=given, path=path, keys=", ".join(keys))
        touched = Counter(fetch_column(connection, merge))
    rows = _value(connection, f"select count(*) from core.{table}")
    return Change(table, rows, touched["INSERT"], touched["UPDATE"], touched["DELETE"])


def _column_comments(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, str | None]:
    rows = fetch_rows(connection, f"{_COMMENTS} where schema_name = ? and table_name = ?", name.split("."))
    return {column: comment for _, column, comment in rows}


def _value(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(fetch_value(connection, sql) or 0)
