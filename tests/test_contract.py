"""Questions that people asked earlier have the same answers: tests/questions.json holds each with its rows of then.

The answers are those of the commit before ceilings had pipes. Devices and models that came later are left out, and
ceilings too where a question lists them: later ones of a device, dtype and basis stand after those of then. What is
predicted, and how far that is off, are answers of now: calibrations are fitted anew to new measurements.
"""

import json
import shutil
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from warehouse.home import Home
from warehouse.rows import fetch_rows

ASKED = json.loads(Path(__file__).with_name("questions.json").read_text("utf-8"))
QUESTIONS = ASKED["questions"]
LISTING_CEILINGS = {"disagreeing_specs", "origin_of_a_roof", "share_of_the_datasheet", "mart.roof"}


@pytest.fixture(scope="module")
def catalog_of_then(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    copy = tmp_path_factory.mktemp("then") / "rooflines.duckdb"
    shutil.copy(finished.snapshot, copy)
    with duckdb.connect(copy) as connection:
        for table, column, known in (
            ("core.hardware", "hardware_id", ASKED["devices"]),
            ("core.model", "model_id", ASKED["models"]),
        ):
            connection.execute(f"delete from {table} where {column} not in (select unnest($known))", {"known": known})
        for table in ("core.ceiling", "core.measurement", "core.calibration"):
            connection.execute(f"delete from {table} where hardware_id not in (select hardware_id from core.hardware)")
        connection.execute(
            "delete from core.op_shape"
            " where convention <> 'custom' and model_id not in (select model_id from core.model)"
        )
        yield connection


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_of_earlier_has_the_same_answer(name: str, catalog_of_then: duckdb.DuckDBPyConnection) -> None:
    asked = QUESTIONS[name]
    catalog_of_then.execute("begin")
    if name in LISTING_CEILINGS:
        _leave_out_later_ceilings(catalog_of_then)
    rows = [[_tidy(value) for value in row] for row in fetch_rows(catalog_of_then, asked["sql"])]
    catalog_of_then.execute("rollback")
    assert rows == asked["rows"]


def _leave_out_later_ceilings(connection: duckdb.DuckDBPyConnection) -> None:
    then = [
        (hardware_id, basis, json.dumps(ceilings.get(basis, {})))
        for hardware_id, ceilings in ASKED["ceilings"].items()
        for basis in ("datasheet", "measured", "as_printed")
    ]
    sql = "delete from core.ceiling where hardware_id = ? and basis = ?"
    connection.executemany(f"{sql} and preference > coalesce(?::json ->> name, '0')::int", then)


def _tidy(value: Any) -> Any:
    """Return a value as the file holds it: ten digits of a number, and text for what JSON does not know."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    return str(value) if isinstance(value, Decimal | date | datetime) else value
