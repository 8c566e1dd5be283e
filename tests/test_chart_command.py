"""`rooflines chart`: the marks that it draws, and rooflines of the user's own queries."""

import json
from pathlib import Path

import pytest

from flows.cli.app import run_command
from tests.support.charts import select_marks, select_shown_marks, validate
from warehouse.home import Home


@pytest.mark.parametrize(("marks", "count"), [("predicted", 392), ("computed", 294)])
def test_the_command_draws_the_marks_that_are_asked_for(marks: str, count: int, finished: Home, tmp_path: Path) -> None:
    files = {suffix: tmp_path / f"a40.{suffix}" for suffix in ("json", "svg")}
    for file in files.values():
        options = ["--marks", marks, "--out", str(file), "--home", str(finished.path)]
        assert run_command(["chart", "roofline-llama-7b-a40", *options]) == 0
    spec = json.loads(files["json"].read_text("utf-8"))
    validate(spec)
    assert {row["layer"] for row in select_shown_marks(spec)} == {marks}
    assert spec["params"][0]["value"] == marks
    svg = files["svg"].read_text("utf-8")
    assert f">Marks: {count} {marks} " in svg
    assert svg.count('aria-roledescription="point"') == count


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["roofline-llama-7b-a40", "--marks", "measured"], "--marks measured: roofline-llama-7b-a40 has none of these"),
        (["device-a40", "--marks", "computed"], "device-a40 has no marks to choose from"),
        (["--marks", "computed"], "--marks: expected with the name of a chart"),
        (["roofline-llama-7b-a40", "--marks", "true"], "--marks"),
    ],
)
def test_marks_that_a_chart_does_not_have_are_refused(
    arguments: list[str], said: str, finished: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["chart", *arguments, "--home", str(finished.path)]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert len(message.splitlines()) == 1


OWN = """
select hardware_id, op as label, phase, intensity_flops_per_byte, achieved_flops_per_s as performance_flops_per_s
from mart.measured_point where hardware_id = 'h100-sxm' and op = 'attention' and batch_size = 8 limit 5
"""


def draw_query(sql: str, finished: Home, tmp_path: Path, *more: str) -> int:
    (tmp_path / "own.sql").write_text(sql, "utf-8")
    options = ["--sql", str(tmp_path / "own.sql"), "--out", str(tmp_path / "own.json"), "--home", str(finished.path)]
    return run_command(["chart", *options, *more])


def test_a_query_of_ones_own_becomes_a_roofline(finished: Home, tmp_path: Path) -> None:
    assert draw_query(OWN, finished, tmp_path, "--precision", "bf16") == 0
    spec = json.loads((tmp_path / "own.json").read_text("utf-8"))
    validate(spec)
    assert len(select_marks(spec, "computed")) == 5
    assert {row["label"] for row in select_marks(spec, "computed")} == {"attention"}
    assert spec["title"]["subtitle"][0] == "Points of a query"
    assert spec["title"]["text"] == "H100 SXM: 5 points"


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select 1 as x", "no column hardware_id; expected hardware_id, intensity_flops_per_byte"),
        (OWN.replace("hardware_id, op", "'none' as hardware_id, op"), "none has no roof in fp16"),
        (
            OWN.replace("and op = 'attention'", "and op = 'none'"),
            "no rows; expected rows of one device",
        ),
        (OWN.replace("achieved_flops_per_s as", "-1 as"), "no row with an intensity and a performance above 0"),
        ("select * from read_csv('/etc/passwd')", "chart: --sql:"),
        ("select", "chart: --sql:"),
    ],
)
def test_a_query_that_is_no_roofline(
    finished: Home, tmp_path: Path, sql: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert draw_query(sql, finished, tmp_path) == 2
    message = capsys.readouterr().err
    assert said in message
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "own.json").exists()
