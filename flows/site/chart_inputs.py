"""What a chart and its page are made from, known without asking the query: code, entry, tables, dates."""

import duckdb

from charts.gallery import ChartEntry
from flows.site.snapshot_charts import compose_sql, is_of_one_device
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

    Tables count as a whole, by what they were last loaded from. Only the rooflines of computed points of one device
    are known to read no other device's rows, so only theirs survive a change of another device.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._loaded = {f"core.{table}": digest for table, digest in read_input_digests(connection).items()}
        # of some tables a chart of one device reads that device's rows alone
        self._rows: dict[str, dict[str, tuple[int, int]]] = {}
        for table, hardware_id, count, digest in fetch_rows(connection, load_sql("gallery/device_rows")):
            self._rows.setdefault(table, {})[hardware_id] = (count, digest)
        self._views = {f"mart.{name}": sql for name, sql in load_all_sql("views/mart").items()}
        self._tables: dict[str, frozenset[str]] = {}
        dates = fetch_rows(connection, load_sql("site/page_dates"))
        self._dates = {(kind, id_): str(changed_at) for kind, id_, changed_at in dates}

    def digest(self, entry: ChartEntry) -> str:
        """Return a digest of what a chart is made from; empty if that is not known, as of a query of the user's own."""
        if "sql" in entry.parameters or entry.alias_of is not None:
            return ""
        sql, parameters = compose_sql(entry), entry.parameters
        tables = sorted(_OF_PAGES.union(*map(self._find_tables, find_sources(sql))))
        hardware_id = parameters.get("hardware_id") if is_of_one_device(entry) else None
        parts = [
            f"{self._rows[table].get(str(hardware_id))}"
            if hardware_id is not None and table in self._rows
            else self._loaded.get(table, "")
            for table in tables
        ]
        shown = [("device", str(hardware_id)), ("model", str(parameters.get("model_id")))]
        dates = [f"{key} {self._dates.get(key)}" for key in (shown if hardware_id else sorted(self._dates))]
        return digest_of([code_version(), repr(entry), sql, *parts, *dates]) if all(parts) else ""

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
