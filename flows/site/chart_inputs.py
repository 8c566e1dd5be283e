"""What a chart and its page are made from, known without asking the query: code, entry, tables, dates."""

from collections.abc import Sequence

import duckdb

from charts.gallery import ChartEntry
from flows.site.snapshot_charts import compose_sql, list_devices_read
from warehouse.digest import digest_of
from warehouse.rows import fetch_rows
from warehouse.sql_files import load_sql
from warehouse.table_digests import TableDigests
from warehouse.version import code_version

# what every page of a chart shows beside its rows: the names of devices and models
_OF_PAGES = frozenset({"core.model", "core.hardware"})


class ChartInputs:
    """The digests of what charts are made from."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._tables = TableDigests(connection)
        dates = fetch_rows(connection, load_sql("site/page_dates"))
        self._dates = {(kind, id_): str(changed_at) for kind, id_, changed_at in dates}

    def digest(self, entry: ChartEntry) -> str:
        """Return a digest of what a chart is made from; empty if that is not known, as of a query of the user's own."""
        if "sql" in entry.parameters:
            return ""
        sql, devices = compose_sql(entry), list_devices_read(entry)
        rows = self._tables.digest(self._tables.find_tables(sql) | _OF_PAGES, devices)
        return rows and digest_of([code_version(), repr(entry), sql, rows, *self._list_dates(entry, devices)])

    def _list_dates(self, entry: ChartEntry, devices: Sequence[str]) -> list[str]:
        """Return the dates that the page of a chart can show."""
        shown = [("device", id_) for id_ in devices] + [("model", str(entry.parameters.get("model_id")))]
        is_known = not set(devices).isdisjoint(self._tables.list_devices("core.hardware"))
        return [f"{key} {self._dates.get(key)}" for key in (shown if is_known else sorted(self._dates))]
