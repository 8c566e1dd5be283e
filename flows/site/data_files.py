"""The published tables and views as Parquet files."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb

from charts.gallery import list_published_views
from flows.site.site_files import SiteFiles
from warehouse.digest import digest_of
from warehouse.load import read_input_digests
from warehouse.migrations import read_table_version
from warehouse.polars_frames import scan_object
from warehouse.rows import fetch_column, fetch_rows
from warehouse.sql_files import fill_sql, find_sources, load_all_sql, load_sql, sort_views
from warehouse.sql_values import quote_name, quote_value
from warehouse.version import strip_comments

_TABLES_OF_RUNS = ("core.run", "core.run_change", "core.run_left_out")  # a run still writes them while it draws
_TABLES_OF_MIGRATIONS = {"core.phase"}  # filled by a migration, not by a run


def write_data_files(connection: duckdb.DuckDBPyConnection, files: SiteFiles, *, of_runs: bool) -> list[str]:
    """Write the published objects that depend on the tables of runs, or those that do not; return their names."""
    names = []
    for name, digest in _list_published_objects(connection):
        if of_runs == _find_tables(name).isdisjoint(_TABLES_OF_RUNS):
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


def _list_published_objects(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    """Yield each table of core and each published view with the digest of its inputs, empty if one is not recorded."""
    loaded = {f"core.{table}": digest for table, digest in read_input_digests(connection).items()}
    tables = fetch_column(connection, "select 'core.' || table_name from duckdb_tables() where schema_name = 'core'")
    columns = read_table_version().sha256
    for name in sorted([*list_published_views(), *tables]):
        digests = [loaded.get(table, "") for table in _find_tables(name)]
        yield name, digest_of([name, columns, *_find_sql(name), *digests]) if all(digests) else ""


def _find_sql(name: str) -> Iterator[str]:
    """Yield the code of all functions, of a view, and of the views that it reads."""
    yield from (strip_comments(sql, ".sql") for sql in load_all_sql("functions").values())
    schema, view = name.split(".")
    if schema != "core":
        sql = load_sql(f"views/{schema}/{view}")
        yield strip_comments(sql, ".sql")
        for source in find_sources(sql):
            yield from _find_sql(source)


def _find_tables(name: str) -> set[str]:
    """Return the tables that a table or view reads, directly or through other views."""
    schema, view = name.split(".")
    if schema == "core":
        return {name} - _TABLES_OF_MIGRATIONS
    sql = load_sql(f"views/{schema}/{view}")
    return set().union(*(_find_tables(source) for source in find_sources(sql)))
