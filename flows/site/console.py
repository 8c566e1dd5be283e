"""The console: a page that runs a reader's SQL on the site's own data in the browser, with DuckDB-WASM.

DuckDB-WASM fetches its reader of Parquet from a server of its makers, so the page has the data as a database instead:
in the oldest format that is still written, so that every version of DuckDB-WASM reads it, and compressed, since servers
leave such files as they are.
"""

import gzip
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb

from flows.site.data_files import compose_warehouse
from flows.site.page_templates import script_json, write_asset
from flows.site.site_extras import CONSOLE, CONSOLE_PAGE
from flows.site.site_files import SiteFiles
from flows.site.site_pages import SitePages
from flows.site.site_rows import SiteRows
from warehouse.digest import digest_of
from warehouse.questions import list_questions
from warehouse.rows import fetch_column
from warehouse.sql_files import load_sql
from warehouse.sql_values import quote_value

_DATABASE = f"{CONSOLE}/rooflines.duckdb.gz"
_STORAGE = "v1.0.0"
_LEVEL = 6  # of gzip: 9 takes three times as long for a hundredth less


def write_console(
    pages: SitePages, files: SiteFiles, connection: duckdb.DuckDBPyConnection, rows: SiteRows, tables: Sequence[str]
) -> None:
    """Write the page of the console, and the database that it asks; the library is there already.

    Parameters
    ----------
    pages, files
        The new site.
    connection
        The snapshot.
    rows
        The rows of sql/site.
    tables
        Names of the objects that have a Parquet file in the site.
    """
    runs = fetch_column(connection, "select run_id from core.run order by run_number")
    script = compose_warehouse(connection, tables)
    if not files.reuse(_DATABASE, digest_of([script, *runs]), [_DATABASE]):
        _write_database(files.new / _DATABASE, compose_warehouse(connection, tables, f"{files.new / 'data'}/"))
    columns = rows.group("columns", "object")
    objects = [
        {**row, "columns": [list(column.values()) for column in columns.get(row["name"], [])]}
        for row in rows.frames["objects"].to_dicts()
    ]
    known = {"roofs": load_sql("console/roofs"), "objects": objects, "first": load_sql("console/first")}
    known["questions"] = [question._asdict() for question in list_questions()]
    (files.new / CONSOLE / "known.js").write_text(f"window.known = {script_json(known)};\n", "utf-8")
    write_asset(files.new / CONSOLE / "console.js", "numbers.js", "console_table.js", "console_chart.js", "console.js")
    size = sum((files.new / CONSOLE / name).stat().st_size for name in ("duckdb.wasm", "duckdb-worker.js"))
    size += (files.new / _DATABASE).stat().st_size
    pages.write(CONSOLE_PAGE, "console.html.j2", size=size)


def _write_database(file: Path, script: str) -> None:
    """Write the warehouse as a compressed database."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "rooflines.duckdb"
        with duckdb.connect() as connection:
            connection.execute(f"attach {quote_value(str(made))} as made (storage_version '{_STORAGE}')")
            connection.execute("use made")
            connection.execute(script)
            connection.execute("use memory")
            connection.execute("detach made")
        with made.open("rb") as database, file.open("wb") as out, gzip.GzipFile("", "wb", _LEVEL, out, 0) as compressed:
            shutil.copyfileobj(database, compressed)
