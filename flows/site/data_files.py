"""The published tables and views as Parquet files."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb

from charts.gallery import list_published_views
from flows.site.site_files import SiteFiles
from warehouse.digest import digest_of
from warehouse.migrations import read_table_version
from warehouse.polars_frames import scan_object
from warehouse.rows import fetch_column, fetch_rows
from warehouse.sql_files import fill_sql, find_sources, load_all_sql, load_sql, sort_views
from warehouse.sql_values import quote_name, quote_value
from warehouse.table_digests import TableDigests
from warehouse.version import strip_comments

_TABLES_OF_RUNS = ("core.run", "core.run_change", "core.run_left_out")  # a run still writes them while it draws


def write_data_files(connection: duckdb.DuckDBPyConnection, files: SiteFiles, *, of_runs: bool) -> list[str]:
    """Write the published objects that depend on the tables of runs, or those that do not; return their names."""
    names = []
    for name, tables, digest in _list_published_objects(connection):
        if of_runs == tables.isdisjoint(_TABLES_OF_RUNS):
            continue
        file = f"data/{name}.parquet"
        if not files.reuse(file, digest, [file]):
            scan_object(connection, name).sink_parquet(files.new / file)
        names.append(name)
    return names


def write_views(connection: duckdb.DuckDBPyConnection, out: Path, tables: Iterable[str]) -> None:
    """Write data/rooflines.sql, which makes the whole warehouse, without sweeps, from the Parquet files beside it.

    Parameters
    ----------
    connection
        The snapshot.
    out
        Folder of the site.
    tables
        Names of the objects that have a Parquet file.
    """
    (out / "data" / "rooflines.sql").write_text(compose_warehouse(connection, tables), "utf-8")


def compose_warehouse(connection: duckdb.DuckDBPyConnection, tables: Iterable[str], folder: str = "") -> str:
    """Return SQL that makes the whole warehouse, with its comments, from the Parquet files in a folder."""
    tables = sorted(name for name in tables if name.startswith("core."))
    comments = fetch_rows(connection, load_sql("published/comments"))
    parts = [
        load_sql("published/begin"),
        *(
            f"create table {quote_name(*name.split('.'))} as from {quote_value(f'{folder}{name}.parquet')};"
            for name in tables
        ),
        "\n".join(statement for name, statement in comments if name in tables),
        *load_all_sql("functions").values(),
        *(fill_sql(sql, parts="") for _, sql in sort_views()),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _quote(name: str) -> str:
    return quote_name(*name.split("."))


def _list_published_objects(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, frozenset[str], str]]:
    """Yield each table of core and each published view with the tables that it reads and the digest of its inputs.

    The digest is empty if what a table was made from is not recorded.
    """
    digests = TableDigests(connection)
    tables = fetch_column(connection, "select 'core.' || table_name from duckdb_tables() where schema_name = 'core'")
    columns = read_table_version().sha256
    for name in sorted([*list_published_views(), *tables]):
        found = digests.find_tables(f"from {name}")
        rows = digests.digest_rows(found)
        yield name, found, rows and digest_of([name, columns, *_find_sql(name), rows])


def _find_sql(name: str) -> Iterator[str]:
    """Yield the code of all functions, of a view, and of the views that it reads."""
    yield from (strip_comments(sql, ".sql") for sql in load_all_sql("functions").values())
    schema, view = name.split(".")
    if schema != "core":
        sql = load_sql(f"views/{schema}/{view}")
        yield strip_comments(sql, ".sql")
        for source in find_sources(sql):
            yield from _find_sql(source)
