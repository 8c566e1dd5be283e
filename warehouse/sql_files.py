"""The files of sql/: load one, put SQL in its `{names}`, and sort views so that each follows what it reads.

In a file, `$name` is a value, which DuckDB binds (or `sql_values.write_values` writes out), and `{name}` is a piece of
SQL: identifiers or a query.
"""

import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_SOURCE = re.compile(r"\b(?:from|join)\s+((?:core|mart)\.\w+)")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def sql_folder() -> Path:
    """Return the folder of SQL files: inside the package when installed, next to it in a checkout."""
    installed = _PACKAGE / "sql"
    return installed if installed.is_dir() else _PACKAGE.parent / "sql"


def sql_files(folder: str) -> list[Path]:
    """Return the SQL files below `folder`, sorted by name."""
    return sorted((sql_folder() / folder).rglob("*.sql"))


def load_sql(name: str, **pieces: str) -> str:
    """Return the text of `sql/NAME.sql`, with SQL in its `{names}`.

    Raises
    ------
    KeyError
        Pieces are given, but not one that the file names.
    """
    sql = (sql_folder() / f"{name}.sql").read_text("utf-8")
    return fill_sql(sql, **pieces) if pieces else sql


def load_all_sql(folder: str) -> dict[str, str]:
    """Return the text of every SQL file below `folder` by its name without the ending, sorted by path."""
    return {path.stem: path.read_text("utf-8") for path in sql_files(folder)}


def fill_sql(sql: str, **pieces: str) -> str:
    """Return a statement with SQL in its `{names}`."""
    return _PLACEHOLDER.sub(lambda found: pieces[found[1]], sql)


def find_placeholders(sql: str) -> set[str]:
    """Return the `{names}` in a statement."""
    return set(_PLACEHOLDER.findall(sql))


def find_sources(sql: str) -> list[str]:
    """Return the tables and views that a statement reads, in the order of their first mention."""
    return list(dict.fromkeys(_SOURCE.findall(sql)))


def sort_views() -> Iterator[tuple[str, str]]:
    """Yield name and SQL of every view, each after the views that it reads."""
    sources = {f"mart.{name}": sql for name, sql in load_all_sql("views/mart").items()}
    graph = {name: [n for n in find_sources(sql) if n in sources] for name, sql in sources.items()}
    for name in TopologicalSorter(graph).static_order():
        yield name, sources[name]
