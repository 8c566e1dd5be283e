"""The versions of DuckDB on which users' SQL is run: those for which `sql/sandbox` lists what only reads."""

import logging
from functools import cache
from pathlib import Path

import duckdb

from warehouse.sql_files import sql_folder

_log = logging.getLogger(__name__)


def list_tested_minors() -> list[str]:
    """Return the minor versions, as 1.5, on which every attempt to do more than read was refused."""
    return sorted(path.stem.removeprefix("readers-") for path in (sql_folder() / "sandbox").glob("readers-*.txt"))


def readers_path() -> Path | None:
    """Return the list of what only reads in the DuckDB that is installed; None where it was not tried."""
    minor = ".".join(duckdb.__version__.split(".")[:2])
    path = sql_folder() / "sandbox" / f"readers-{minor}.txt"
    return path if path.is_file() else None


@cache
def warn_if_untested() -> None:
    """Say once that this DuckDB was not tried, where it was not; all but users' SQL is done with it."""
    if readers_path() is None:
        tried = ", ".join(list_tested_minors())
        _log.warning("DuckDB %s was not tried, but %s; users' SQL is not run on it", duckdb.__version__, tried)
