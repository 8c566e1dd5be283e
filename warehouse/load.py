"""Load the tables of core from staged files, in one transaction."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from warehouse.connection import transaction
from warehouse.rows import fetch_column, fetch_count, fetch_rows
from warehouse.sql_files import load_sql
from warehouse.sql_values import file_pattern, quote_name, quote_names
from warehouse.views import create_views

# by table of core: the number of its rows, and a digest of them
Fingerprints = dict[str, tuple[int, int | None]]

_IN_CORE = "database_name = current_database() and schema_name = 'core'"
# keys of tables without an index
_KEYS = {"op_cost": ["shape_id", "precision_id"]}


@dataclass(frozen=True)
class StagedFile:
    """A Parquet file with every row of one table, and the digest of what it was made from."""

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
        """Rows that were inserted, updated or deleted."""
        return self.inserted + self.updated + self.deleted


def fingerprint_tables(connection: duckdb.DuckDBPyConnection) -> Fingerprints:
    """Return, by table of core, the number of its rows and a digest of them. Reads every row."""
    names = fetch_column(connection, f"select table_name from duckdb_tables() where {_IN_CORE}")
    count = "select count(*), sum(hash(row)) from {} as row"
    return {name: fetch_rows(connection, count.format(quote_name("core", name)))[0] for name in names}


def read_input_digests(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return, by table, the digest of what its rows were made from when it was last loaded."""
    last = "select table_name, arg_max(change.inputs_sha256, run_number) from core.run_change as change"
    return dict(fetch_rows(connection, f"{last} inner join core.run using (run_id) group by table_name"))


def load_tables(
    connection: duckdb.DuckDBPyConnection, run_id: str, staged: Mapping[str, StagedFile], altered: Collection[str] = ()
) -> list[Change]:
    """Make the tables equal to their staged files and renew the views, in one transaction.

    A table that was last loaded from the same inputs is skipped, unless it is in `altered`. In the others, only rows
    that differ are touched.
    """
    with transaction(connection):
        loaded, keys, columns = (
            read_input_digests(connection),
            read_core_keys(connection),
            read_core_columns(connection),
        )
        changes = [
            Change(table, _count_rows(connection, table))
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


def read_core_keys(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Return the key columns of every table of core."""
    facts = f"select table_name, constraint_column_names from duckdb_constraints() where {_IN_CORE}"
    return {**_KEYS, **dict(fetch_rows(connection, f"{facts} and constraint_type = 'PRIMARY KEY'"))}


def read_core_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Return the columns of every table of core, in their order."""
    facts = "select table_name, list(column_name order by column_index) from duckdb_columns()"
    return dict(fetch_rows(connection, f"{facts} where {_IN_CORE} group by table_name"))


def _load_table(
    connection: duckdb.DuckDBPyConnection, table: str, file: Path, keys: Sequence[str], columns: Sequence[str]
) -> Change:
    source = {"path": file_pattern(file)}
    present = set(fetch_column(connection, "describe from read_parquet($path)", source))
    names = {"table": quote_name("core", table), "columns": quote_names(c for c in columns if c in present)}
    touched: Counter[str] = Counter()
    if _count_rows(connection, table):
        merge = load_sql("load/merge", **names, keys=quote_names(keys))
        touched.update(fetch_column(connection, merge, source))
    else:
        touched["INSERT"] = fetch_column(connection, load_sql("load/insert", **names), source)[0]
    rows = _count_rows(connection, table)
    return Change(table, rows, touched["INSERT"], touched["UPDATE"], touched["DELETE"])


def _count_rows(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return fetch_count(connection, f"select count(*) from {quote_name('core', table)}")
