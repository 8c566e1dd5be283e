"""The files of the sweeps that a database registers."""

from collections import defaultdict
from pathlib import Path

import duckdb

from warehouse.files.bucket import Location, locate_folder
from warehouse.rows import fetch_rows, fetch_value
from warehouse.sql_files import load_sql


def list_registered_files(connection: duckdb.DuckDBPyConnection) -> dict[str, list[Location]]:
    """Return the files of every sweep; empty if the database is of a version without sweeps."""
    try:
        rows = fetch_rows(connection, load_sql("sweep/files"))
    except duckdb.CatalogException:
        return {}
    database = fetch_value(connection, "select path from duckdb_databases() where path is not null")
    home = Path(database).absolute().parent if database else Path()
    if not (home / "rooflines.duckdb").exists() and not (home / "build.duckdb").exists():
        home = home.parent  # the database is a kept snapshot
    files: dict[str, list[Location]] = defaultdict(list)
    for sweep_id, folder, path in rows:
        files[sweep_id].append(locate_folder(home, folder) / path)
    return files


def find_lost_files(connection: duckdb.DuckDBPyConnection) -> dict[str, list[Path]]:
    """Return, by sweep, the files on a disk that are missing."""
    found = list_registered_files(connection).items()
    lost = {
        sweep_id: [file for file in files if isinstance(file, Path) and not file.is_file()] for sweep_id, files in found
    }
    return {sweep_id: files for sweep_id, files in lost.items() if files}
