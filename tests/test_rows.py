"""Rows are fetched whole, in one place: on DuckDB 2 a result that is left open blocks the next statement."""

import ast
from pathlib import Path

import duckdb
import pytest

from tests.support.files import ROOT
from warehouse.rows import fetch_column, fetch_row, fetch_rows, fetch_value


def list_fetches(path: Path) -> list[str]:
    """Where a module fetches rows by itself."""
    tree = ast.parse(path.read_text("utf-8"))
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr.startswith("fetch")]
    return [f"{path.relative_to(ROOT)}:{node.lineno}: {node.attr}" for node in names]


def test_nothing_else_fetches_rows() -> None:
    modules = [path for folder in ("flows", "charts", "warehouse") for path in (ROOT / folder).rglob("*.py")]
    own = [path for path in modules if path.name == "rows.py"]
    assert [line for path in modules if path not in own for line in list_fetches(path)] == []
    assert list_fetches(*own)  # the rule can fail


def test_tests_leave_no_result_open() -> None:
    lines = [line for path in (ROOT / "tests").glob("*.py") for line in list_fetches(path)]
    assert [line for line in lines if not line.endswith("fetchall")] == []


@pytest.mark.parametrize("fetch", [fetch_column, fetch_row, fetch_rows, fetch_value])
def test_nothing_is_left_open(fetch: object) -> None:
    with duckdb.connect() as connection:
        assert callable(fetch)
        fetch(connection, "from range(?)", [100_000])
        assert connection.sql("select 1").fetchall() == [(1,)]


def test_no_row_is_none() -> None:
    with duckdb.connect() as connection:
        assert fetch_row(connection, "select 1 where false") is None
        assert fetch_value(connection, "select 1 where false") is None
        assert fetch_column(connection, "select 1 where false") == []
