"""The files of the sweeps that a database registers."""

from collections import defaultdict
from pathlib import Path

import duckdb

from warehouse.files.bucket import Location, locate_folder
from warehouse.rows import fetch_rows, fetch_value
from warehouse.sql_files import sql_folder


def list_registered_files(connection: duckdb.DuckDBPyConnection) -> dict[str, list[Location]]:
    """Return the files of every sweep; none where the database is older than sweeps."""
    try:
        rows = fetch_rows(connection, (sql_folder() / "sweep" / "files.sql").read_text("utf-8"))
    except duckdb.CatalogException:
        return {}
    database = fetch_value(connection, "select path from duckdb_databases() where path is not null")
    home = Path(database).absolute().parent if database else Path()
    if not (home / "rooflines.duckdb").exists() and not (home / "build.duckdb").exists():
        home = home.parent  # of a snapshot that is kept
    files: dict[str, list[Location]] = defaultdict(list)
    for sweep_id, folder, path in rows:
        files[sweep_id].append(locate_folder(home, folder) / path)
    return files


def find_lost_files(connection: duckdb.DuckDBPyConnection) -> dict[str, list[Path]]:
    """Return the sweeps that lack files on a disk, and which."""
    found = list_registered_files(connection).items()
    lost = {
        sweep_id: [file for file in files if isinstance(file, Path) and not file.is_file()] for sweep_id, files in found
    }
    return {sweep_id: files for sweep_id, files in lost.items() if files}
