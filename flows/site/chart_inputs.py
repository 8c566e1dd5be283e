"""What a chart and its page are made from, known without asking the query: code, entry, tables, dates."""

from collections.abc import Sequence

import duckdb

from charts.gallery import ChartEntry
from flows.site.snapshot_charts import compose_sql, list_devices_read
from warehouse.digest import digest_of
from warehouse.load import read_input_digests
from warehouse.rows import fetch_rows
from warehouse.sql_files import find_sources, load_all_sql, load_sql
from warehouse.version import code_version

# what every page of a chart shows beside its rows: the names of devices and models
_OF_PAGES = frozenset({"core.model", "core.hardware"})
_OF_MIGRATIONS = {"core.phase"}  # filled by a migration, which is code


class ChartInputs:
    """The digests of what charts are made from.

    Of a table with rows of devices, a chart of named devices depends on their rows alone, and any other chart on all
    rows. A table without them counts as a whole: a small one by its rows, a large one by what it was last loaded from.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._loaded = {f"core.{table}": digest for table, digest in read_input_digests(connection).items()}
        of_devices = load_sql("gallery/device_rows")
        self._of_devices: dict[str, dict[str, str]] = {table: {} for table in find_sources(of_devices)}
        for table, hardware_id, count, digest in fetch_rows(connection, of_devices):
            self._of_devices[table][hardware_id] = f"{count} {digest}"
        small = fetch_rows(connection, load_sql("gallery/table_rows"))
        self._small = {table: f"{count} {digest}" for table, count, digest in small}
        self._views = {f"mart.{name}": sql for name, sql in load_all_sql("views/mart").items()}
        self._tables: dict[str, frozenset[str]] = {}
        dates = fetch_rows(connection, load_sql("site/page_dates"))
        self._dates = {(kind, id_): str(changed_at) for kind, id_, changed_at in dates}

    def digest(self, entry: ChartEntry) -> str:
        """Return a digest of what a chart is made from; empty if that is not known, as of a query of the user's own."""
        if "sql" in entry.parameters:
            return ""
        sql = compose_sql(entry)
        tables = sorted(_OF_PAGES.union(*map(self._find_tables, find_sources(sql))))
        if not all(self._loaded.get(table) for table in tables):
            return ""
        devices = list_devices_read(entry)
        parts = [f"{table} {self._digest_table(table, devices)}" for table in tables]
        return digest_of([code_version(), repr(entry), sql, *parts, *self._list_dates(entry, devices)])

    def _digest_table(self, table: str, devices: Sequence[str]) -> str:
        """Return a digest of the rows of a table that belong to these devices; without any, of all."""
        rows = self._of_devices.get(table)
        if rows is not None and devices:
            return repr([(id_, rows.get(id_)) for id_ in ("", *devices)])  # rows of no device hold for every one
        if table in self._small:
            return self._small[table]
        return self._loaded[table] if rows is None else repr(sorted(rows.items()))

    def _list_dates(self, entry: ChartEntry, devices: Sequence[str]) -> list[str]:
        """Return the dates that the page of a chart can show."""
        shown = [("device", id_) for id_ in devices] + [("model", str(entry.parameters.get("model_id")))]
        is_known = not self._of_devices["core.hardware"].keys().isdisjoint(devices)
        return [f"{key} {self._dates.get(key)}" for key in (shown if is_known else sorted(self._dates))]

    def _find_tables(self, source: str) -> frozenset[str]:
        """Return the tables that a table or view reads; a function, which is given names, may read any."""
        if source not in self._tables:
            if source.startswith("core."):
                found = frozenset({source} - _OF_MIGRATIONS)
            elif source in self._views:
                found = frozenset().union(*map(self._find_tables, find_sources(self._views[source])))
            else:
                found = frozenset(self._loaded)
            self._tables[source] = found
        return self._tables[source]
