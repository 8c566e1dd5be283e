"""What queries read, known without asking them: digests of tables, and of the rows of single devices."""

from collections.abc import Collection, Sequence

import duckdb

from warehouse.digest import digest_of
from warehouse.load import read_input_digests
from warehouse.rows import fetch_rows
from warehouse.sql_files import find_sources, load_all_sql, load_sql

_OF_MIGRATIONS = {"core.phase"}  # filled by a migration, which is code
_WITHOUT_COLUMNS = {"core.source"}  # the queries of digests leave columns out that no view reads
_ALL = ""


class TableDigests:
    """The digests of the tables of one database.

    Of a table with rows of devices, a query of named devices depends on their rows alone, and any other query on all
    rows. A table without them counts as a whole: a small one by its rows, a large one by what it was last loaded from.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._loaded = {f"core.{table}": digest for table, digest in read_input_digests(connection).items()}
        of_devices = load_sql("load/device_rows")
        self._of_devices: dict[str, dict[str, str]] = {table: {} for table in find_sources(of_devices)}
        for table, hardware_id, count, digest in fetch_rows(connection, of_devices):
            self._of_devices[table][hardware_id] = f"{count} {digest}"
        small = fetch_rows(connection, load_sql("load/small_tables"))
        self._small = {table: f"{count} {digest}" for table, count, digest in small}
        self._views = {f"mart.{name}": sql for name, sql in load_all_sql("views/mart").items()}
        self._tables: dict[str, frozenset[str]] = {}

    def list_devices(self, *tables: str) -> list[str]:
        """Return the ids of the devices that have rows in one of some tables, sorted."""
        return sorted({id_ for table in tables for id_ in self._of_devices[table] if id_})

    def find_tables(self, sql: str) -> frozenset[str]:
        """Return the tables that a query reads, directly or through views."""
        return frozenset().union(*map(self._find_tables, find_sources(sql)))

    def digest(self, tables: frozenset[str], devices: Sequence[str] = ()) -> str:
        """Return a digest of some tables, of these devices; without any, of all. Empty if that is not known."""
        if not all(self._loaded.get(table) for table in tables):
            return ""
        return "\n".join(f"{table} {self._digest_table(table, devices)}" for table in sorted(tables))

    def digest_rows(self, tables: Collection[str]) -> str:
        """Return a digest of all columns of some tables; empty if that is not known."""
        if not all(self._loaded.get(table) for table in tables):
            return ""
        return digest_of(
            f"{table} {self._loaded[table] if table in _WITHOUT_COLUMNS else self._digest_table(table, ())}"
            for table in tables
        )

    def list_changed(self, tables: frozenset[str], since: "TableDigests") -> list[str] | None:
        """Return the devices whose rows of some tables differ from an earlier state; None if more than that differs."""
        changed: set[str] = set()
        for table in tables:
            if not self._loaded.get(table):
                return None
            if self._loaded[table] == since._loaded.get(table):
                continue
            if table not in self._of_devices or table in _WITHOUT_COLUMNS:
                return None
            rows, earlier = self._of_devices[table], since._of_devices[table]
            changed |= {id_ for id_ in {*rows, *earlier} if rows.get(id_) != earlier.get(id_)}
        return None if _ALL in changed else sorted(changed)

    def _digest_table(self, table: str, devices: Sequence[str]) -> str:
        rows = self._of_devices.get(table)
        if rows is not None and devices:
            return repr([(id_, rows.get(id_)) for id_ in (_ALL, *devices)])
        if table in self._small:
            return self._small[table]
        return self._loaded[table] if rows is None else repr(sorted(rows.items()))

    def _find_tables(self, source: str) -> frozenset[str]:
        """Return the tables that a table or view reads; a function, which is given names, may read any."""
        if source not in self._tables:
            if source.startswith("core."):
                found = frozenset({source} - _OF_MIGRATIONS)
            elif source in self._views:
                found = self.find_tables(self._views[source])
            else:
                found = frozenset(self._loaded)
            self._tables[source] = found
        return self._tables[source]
