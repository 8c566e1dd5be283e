"""The SQL files: where they lie, what they are called, and in which order views can be created."""

import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_NAME = re.compile(r"\b(?:from|join)\s+((?:core|mart)\.\w+)")


def sql_folder() -> Path:
    """Return the folder of SQL files: inside the package when installed, beside it in a checkout."""
    installed = _PACKAGE / "sql"
    return installed if installed.is_dir() else _PACKAGE.parent / "sql"


def sql_files(folder: str) -> list[Path]:
    """Return the SQL files below `folder`, in the order of their names."""
    return sorted((sql_folder() / folder).rglob("*.sql"))


def find_sources(sql: str) -> list[str]:
    """Return the tables and views that a statement reads, in the order of their first mention."""
    return list(dict.fromkeys(_NAME.findall(sql)))


def sort_views() -> Iterator[tuple[str, str]]:
    """Yield name and SQL of every view, each after the views that it reads."""
    sources = {f"{path.parent.name}.{path.stem}": path.read_text("utf-8") for path in sql_files("views")}
    graph = {name: [n for n in find_sources(sql) if n in sources] for name, sql in sources.items()}
    for name in TopologicalSorter(graph).static_order():
        yield name, sources[name]
