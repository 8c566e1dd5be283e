"""Plans: which configurations meet a latency, from the expected steps of a request profile."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from flows.ingest.readers.hardware import read_hardware
from tests.support.files import ROOT
from tests.support.inputs import make_source
from warehouse.errors import InputError
from warehouse.rows import fetch_rows
from warehouse.sql_files import load_all_sql

A10 = (ROOT / "warehouse" / "catalog" / "hardware" / "a10.toml").read_text("utf-8")
PRICE = 'dollars_per_hour = 1.5\ndollars_origin = "my contract of 2026"\n'


@pytest.fixture(scope="module")
def functions() -> Iterator[duckdb.DuckDBPyConnection]:
    """The macros, without any table."""
    with duckdb.connect() as connection:
        connection.execute("create schema mart")
        for name, sql in load_all_sql("functions").items():
            if name in {"expected_tokens", "expected_tree_tokens", "sharing_label"}:
                connection.execute(sql)
        yield connection


def test_a_tree_yields_the_tokens_of_each_depth_that_is_reached(functions: duckdb.DuckDBPyConnection) -> None:
    """Rate 1/2: with two candidates 3/4 go on, with two for each of them 9/16 once more."""
    sql = "select mart.expected_tree_tokens(0.5, [1, 2, 4]), mart.expected_tree_tokens(1, [1, 4, 8, 3])"
    assert fetch_rows(functions, sql) == [(1 + 3 / 4 + 9 / 16, 4)]


@pytest.mark.parametrize("rate", [0, 0.3, 0.8, 1])
def test_a_tree_without_branches_yields_what_a_chain_does(functions: duckdb.DuckDBPyConnection, rate: float) -> None:
    sql = "select mart.expected_tree_tokens(?, [1, 1, 1, 1]), mart.expected_tokens(?, 4)"
    ((tree, chain),) = fetch_rows(functions, sql, [rate, rate])
    assert tree == pytest.approx(chain)


def test_what_is_no_probability_yields_nothing(functions: duckdb.DuckDBPyConnection) -> None:
    sql = "select mart.expected_tree_tokens(1.5, [1, 2]), mart.expected_tree_tokens(-0.1, [1, 2])"
    assert fetch_rows(functions, sql) == [(None, None)]


def test_a_label_names_each_way_to_share(functions: duckdb.DuckDBPyConnection) -> None:
    sql = (
        "select mart.sharing_label(1, 1, 1, 1), mart.sharing_label(8, 8, 1, 1), mart.sharing_label(1, 8, 1, 8),"
        " mart.sharing_label(2, 1, 4, 1)"
    )
    assert fetch_rows(functions, sql) == [("TP1", "TP8 EP8", "EP8 DP8", "TP2 PP4")]


def write_device(folder: Path, more: str) -> Path:
    path = folder / "a10.toml"
    path.write_text(more + A10, "utf-8")
    return path


def test_a_device_has_the_price_that_its_file_states(tmp_path: Path) -> None:
    frames = read_hardware([make_source(write_device(tmp_path, PRICE), "hardware")])
    assert frames["hardware"].select("dollars_per_hour", "dollars_origin").rows() == [(1.5, "my contract of 2026")]


@pytest.mark.parametrize("lines", [PRICE.splitlines()[0], PRICE.splitlines()[1]], ids=["no origin", "no price"])
def test_a_price_has_an_origin(tmp_path: Path, lines: str) -> None:
    with pytest.raises(InputError, match="dollars_per_hour: expected dollars_per_hour and dollars_origin together"):
        read_hardware([make_source(write_device(tmp_path, f"{lines}\n"), "hardware")])


def test_a_price_is_above_zero(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a10\.toml: dollars_per_hour = 0: expected .*greater than 0"):
        read_hardware([make_source(write_device(tmp_path, PRICE.replace("1.5", "0")), "hardware")])
