"""Load the tables of core from staged files, in one transaction."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from warehouse.connection import transaction
from warehouse.rows import fetch_column, fetch_count, fetch_rows
from warehouse.sql_files import sql_folder
from warehouse.sql_values import file_pattern, quote_value
from warehouse.views import create_views

# by table of core how many rows it has, and a digest of them
Fingerprints = dict[str, tuple[int, int | None]]

# keys of tables without an index
_KEYS = {"op_cost": ["shape_id", "precision_id"]}


@dataclass(frozen=True)
class StagedFile:
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


def fingerprint_tables(connection: duckdb.DuckDBPyConnection) -> Fingerprints:
    """Return by table of core how many rows it has, and a digest of them, for which every row is read."""
    names = fetch_column(connection, "select table_name from duckdb_tables() where schema_name = 'core'")
    return {
        name: fetch_rows(connection, f"select count(*), sum(hash(row)) from core.{name} as row")[0] for name in names
    }


def read_input_digests(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return by table what its rows were made from when it was last loaded."""
    last = "select table_name, arg_max(change.inputs_sha256, run_number) from core.run_change as change"
    return dict(fetch_rows(connection, f"{last} inner join core.run using (run_id) group by table_name"))


def load_tables(
    connection: duckdb.DuckDBPyConnection, run_id: str, staged: Mapping[str, StagedFile], altered: Collection[str] = ()
) -> list[Change]:
    """Make the tables equal to their staged files and renew the views, in one transaction.

    A table whose inputs are those of its last load is not read, unless it was altered since; of the
    others, only rows that differ are touched.
    """
    with transaction(connection):
        loaded, keys, columns = (
            read_input_digests(connection),
            read_core_keys(connection),
            read_core_columns(connection),
        )
        changes = [
            Change(table, fetch_count(connection, f"select count(*) from core.{table}"))
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
    """Return the columns of the key of every table."""
    facts = "select table_name, constraint_column_names from duckdb_constraints() where schema_name = 'core'"
    return {**_KEYS, **dict(fetch_rows(connection, f"{facts} and constraint_type = 'PRIMARY KEY'"))}


def read_core_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Return the columns of every table, in their order."""
    facts = "select table_name, list(column_name order by column_index) from duckdb_columns()"
    return dict(fetch_rows(connection, f"{facts} where schema_name = 'core' group by table_name"))


def _load_table(
    connection: duckdb.DuckDBPyConnection, table: str, file: Path, keys: Sequence[str], columns: Iterable[str]
) -> Change:
    touched: Counter[str] = Counter()
    path = quote_value(file_pattern(file))
    present = {name for name, *_ in fetch_rows(connection, f"describe from read_parquet({path})")}
    given = ", ".join(column for column in columns if column in present)
    if not fetch_count(connection, f"select count(*) from core.{table}"):
        insert = f"insert into core.{table} by name select {given} from read_parquet({path})"
        touched["INSERT"] = fetch_count(connection, insert)
    else:
        merge = (sql_folder() / "load.sql").read_text("utf-8")
        merge = merge.format(table=table, columns=given, path=path, keys=", ".join(keys))
        touched = Counter(fetch_column(connection, merge))
    rows = fetch_count(connection, f"select count(*) from core.{table}")
    return Change(table, rows, touched["INSERT"], touched["UPDATE"], touched["DELETE"])
