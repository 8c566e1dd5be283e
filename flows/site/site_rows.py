"""The rows of sql/site, which the pages of a site show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from flows.site.kept_rows import COMMON_DEVICES, KeptRows, read_queries
from warehouse.sql_files import load_all_sql
from warehouse.sql_values import OneOf, write_values

Row = dict[str, Any]


@dataclass(frozen=True)
class SiteRows:
    """The rows of each query in sql/site by its name, and devices and models by their ids."""

    frames: Mapping[str, pl.DataFrame]
    devices: Mapping[str, Row]
    models: Mapping[str, Row]

    def group(self, query: str, key: str, *hidden: str) -> dict[str, list[Row]]:
        """Return the rows of a query by the value of a column, without that column and the hidden ones."""
        return group_rows(self.frames[query], key, *hidden)


def group_rows(frame: pl.DataFrame, key: str, *hidden: str) -> dict[str, list[Row]]:
    """Return rows by the value of a column, without that column and the hidden ones."""
    parts = frame.partition_by(key, as_dict=True, maintain_order=True)
    return {str(value): rows.drop(key, *hidden).to_dicts() for (value,), rows in parts.items()}


def read_site_rows(connection: duckdb.DuckDBPyConnection, kept: KeptRows | None = None) -> SiteRows:
    """Return the rows of the queries in sql/site, of which some may be kept."""
    queries = {
        name: write_values(sql, {"common_devices": OneOf(COMMON_DEVICES)}) for name, sql in load_all_sql("site").items()
    }
    frames = read_queries(connection, queries, kept)
    devices = {row["hardware_id"]: row for row in frames["devices"].to_dicts()}
    models = {row["model_id"]: row for row in frames["models"].to_dicts()}
    return SiteRows(frames, devices, models)
