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
        (
            "roofline-llama-7b-a40 --marks measured",
            "--marks measured: roofline-llama-7b-a40 has none of these; expected ne",
        ),
        (
            "device-a40 --marks measured",
            "--marks measured: device-a40 has none of these; expected computed or predicted",
        ),
        (
            "device-a40 --marks nearest",
            "--marks nearest: expected computed, predicted, measured, compared for device-a40",
        ),
        ("devices-fp16 --marks computed", "--marks: devices-fp16 has no such choice; expected --precision, --devices"),
        ("run-history --batch 8", "--batch: run-history has no such choice; it has none"),
        ("roofline-llama-7b-a40 --marks true", "--marks"),
        ("--marks computed", "--marks: expected with the name of a chart"),
        ("--precision fp16", "--precision: expected with the name of a chart"),
        ("device-a40 --precision fp61", "--precision: fp61: expected a name such as fp64, fp16"),
        (
            "device-a40 --precision fp4",
            "--precision: fp4: no points of llama-7b (paper convention); expected one of bf16, ",
        ),
        (
            "device-a40 --precision fp8",
            "--precision: fp8: no peak for it on a40; expected a precision of one of bf16, fp16",
        ),
        (
            "device-a40 --batch 7",
            "--batch: 7: no points of llama-7b (paper convention); expected one of 1, 2, 4, 8, 16, 32",
        ),
        ("device-a40 --batch 1,8", "--batch: 1, 8: expected one number for this chart"),
        ("device-a40 --batch 0", "--batch: 0: expected a whole number from 1"),
        ("device-a40 --batch=-8", "--batch: -8: expected a whole number from 1"),
        ("device-a40 --sequence 1e3", "--sequence: 1e3: expected a whole number from 1"),
        (
            "roofline-llama-7b-a40 --tensor-parallel 3",
            "--tensor-parallel: 3: no points of llama-7b (paper convention); expected 1",
        ),
        (
            "device-a40 --tensor-parallel 4",
            "--tensor-parallel: 4: no points of llama-7b (paper convention); expected 1",
        ),
        ("device-a40 --model llama-7", "--model: llama-7: expected a name such as llama-7b"),
        ("device-a40 --convention papers", "--convention: papers: expected one of"),
        (
            "device-a40 --colour bond",
            "--colour: bond: device-a40 has no such column of points; expected one such as bound",
        ),
        (
            "step-time-llama-3-8b-h100-sxm --batch 1,7",
            "--batch: 7: no points of llama-3-8b (engine convention); expected ",
        ),
        ("devices-fp16 --devices a40,a6", "--devices: a6: expected a name such as a6000"),
        ("devices-fp16 --devices a40,tpu-v5e", "--devices: tpu-v5e: no roof in fp16; expected devices with one"),
        ("throughput-llama-3-8b --devices a40,", "--devices: empty name; expected a name such as"),
        ("roofline-*-none", "chart: roofline-*-none: no chart has such a name"),
        ("roofline-* --out x.svg", "chart: expected the name of a chart with --out"),
    ],
)
def test_what_a_chart_does_not_have_is_refused(
    arguments: str, said: str, finished: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["chart", *arguments.split(), "--home", str(finished.path)]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert len(message.splitlines()) == 1


OWN = """
select hardware_id, op as label, phase, intensity_flops_per_byte, achieved_flops_per_s as performance_flops_per_s
from mart.measured_point where hardware_id = 'h100-sxm' and op = 'attention' and batch_size = 8
order by intensity_flops_per_byte, measurement_id limit 5
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
    assert spec["title"]["text"].startswith("H100 SXM: 5 points, ")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select 1 as x", "no column hardware_id; expected hardware_id, intensity_flops_per_byte"),
        (OWN.replace("hardware_id, op", "'none' as hardware_id, op"), "hardware_id = none: no such device"),
        (
            OWN.replace("and op = 'attention'", "and op = 'none'"),
            "no rows; expected one row per point",
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
