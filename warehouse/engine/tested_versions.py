"""The versions of DuckDB that run users' SQL: those for which `sql/sandbox` lists what only reads."""

import logging
from functools import cache
from pathlib import Path

import duckdb

from warehouse.sql_files import sql_folder

_log = logging.getLogger(__name__)


def list_tested_minors() -> list[str]:
    """Return the minor versions, such as 1.5, that were tested to refuse everything but reading."""
    return sorted(path.stem.removeprefix("readers-") for path in (sql_folder() / "sandbox").glob("readers-*.txt"))


def readers_path() -> Path | None:
    """Return the list of what only reads in the installed DuckDB, None if this version was not tested."""
    minor = ".".join(duckdb.__version__.split(".")[:2])
    path = sql_folder() / "sandbox" / f"readers-{minor}.txt"
    return path if path.is_file() else None


@cache
def warn_if_untested() -> None:
    """Warn once if the installed DuckDB was not tested. It is used for everything but users' SQL."""
    if readers_path() is None:
        tested = ", ".join(list_tested_minors())
        _log.warning("DuckDB %s was not tested, only %s; it does not run users' SQL", duckdb.__version__, tested)
