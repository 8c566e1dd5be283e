"""Describe the tables and views of the snapshot by their comments."""

from difflib import get_close_matches
from pathlib import Path

from warehouse.errors import InputError
from warehouse.rows import fetch_rows
from warehouse.snapshot import open_snapshot
from warehouse.sql_files import load_sql


def describe(snapshot: Path, name: str | None = None) -> str:
    """Return one line per table and view, or one line per column of one of them.

    Raises
    ------
    InputError
        There is no table or view of that name.
    """
    with open_snapshot(snapshot) as connection:
        objects = fetch_rows(connection, load_sql("schema/objects"))
        if name is None:
            return _align_columns([(full_name, kind, comment) for full_name, kind, comment in objects])
        names = [full_name for full_name, _, _ in objects]
        found = next((n for n in names if name in {n, n.removeprefix("mart."), n.removeprefix("core.")}), None)
        if found is None:
            near = ", ".join(get_close_matches(name, names, n=3, cutoff=0.3) or names)
            raise InputError(f"schema: {name}: no such table or view; expected one of {near}")
        rows = fetch_rows(connection, load_sql("schema/columns"), {"name": found})
    comment = next(comment for full_name, _, comment in objects if full_name == found)
    return f"{found}: {comment}\n{_align_columns([(f'  {column}', kind, text) for column, kind, text in rows])}"


def _align_columns(rows: list[tuple[str, str, str]]) -> str:
    first, second = (max(len(row[i]) for row in rows) for i in (0, 1))
    return "\n".join(f"{a:<{first}}  {b:<{second}}  {c or ''}".rstrip() for a, b, c in rows)
