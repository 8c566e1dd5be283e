"""Measured steps of whole models: read from files, kept beside the kernels."""

from pathlib import Path

import duckdb
import pytest

from flows.cli.app import run_command
from flows.ingest.readers.step import read_steps
from flows.ingest.user_catalog import add_files
from tests.support.files import write_file
from tests.support.inputs import assert_refused, make_source
from tests.support.whole_runs import run_without_prefect, write_small_catalog
from warehouse.home import Home
from warehouse.snapshot import open_snapshot

HEADER = "hardware_id,model_id,precision_id,phase,batch_size,sequence_length,launch,fusion,latency_s,method"
DECODE = "a40,llama-7b,fp16,decode,8,1024,graph,none,0.021,clock"
PREFILL = "a40,llama-7b,bf16,prefill,1,128,eager,none,0.02,clock"
GOOD = f"{HEADER}\n{DECODE}\n{PREFILL}\n"


def test_a_measured_step_becomes_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped, home = write_small_catalog(tmp_path / "shipped"), Home(tmp_path / "home")
    path = write_file(tmp_path, "mine.csv", GOOD)
    (added,) = add_files(home, "step", [str(path)], shipped=shipped)
    assert added.path == home.catalog / "measurements" / "steps" / "mine.csv"
    run_without_prefect(home, shipped)
    with open_snapshot(home.snapshot) as connection:
        rows = connection.sql(
            "select step_measurement_id, phase, query_length, tensor_parallel, data_parallel, launch, latency_s,"
            " source_id from core.step_measurement order by 1"
        ).fetchall()
        kernels = connection.sql("select count(*) from core.measurement").fetchall()
    assert rows == [
        ("mine/1", "decode", 1, 1, 1, "graph", 0.021, "home/step/mine"),
        ("mine/2", "prefill", 128, 1, 1, "eager", 0.02, "home/step/mine"),
    ]
    assert kernels == [(0,)]
    assert run_command(["ingest", "step", str(path), "--hardware-id", "a40", "--home", str(home.path)]) == 2
    assert "--hardware-id: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("latency_s", "latency", ['column "latency"', "latency_s"]),
        (",method", "", ["no column method"]),
        ("decode", "decoding", ['row 1 ("llama-7b")', "phase: expected one of prefill, decode", 'not "decoding"']),
        ("graph", "graphs", ["row 1", "launch: expected one of eager, graph", 'not "graphs"']),
        ("none", "some", ["row 1", "fusion: expected one of engine, none", 'not "some"']),
        ("0.021", "0", ["row 1", "latency_s: expected 1e-9 to 1e5 seconds", "not 0.0"]),
        ("0.021", "", ["row 1", "latency_s: missing"]),
        ("decode,8", "decode,0", ["row 1", "batch_size: expected 1 or more"]),
        (
            "latency_s,method\n",
            "latency_s,method,query_length\n",
            ["row 1", "query_length: expected 1 in decode, not 4"],
        ),
        ("a40", "a41", ['hardware_id = "a41"', "expected a device of the catalog"]),
        ("llama-7b", "llama-7c", ['model_id = "llama-7c"', "expected a model of the catalog"]),
        ("fp16", "fp17", ['precision_id = "fp17"', "expected a precision of the catalog"]),
        (f"{DECODE}\n{PREFILL}\n", "", ["no rows; expected one per step"]),
    ],
)
def test_a_bad_step_is_refused_in_one_line(tmp_path: Path, old: str, new: str, names: list[str]) -> None:
    shipped, home = write_small_catalog(tmp_path / "shipped"), Home(tmp_path / "home")
    text = GOOD.replace(old, new, 1)
    text = text.replace(",clock", "") if new == "" and old == ",method" else text
    text = text.replace(",clock", ",clock,4") if "query_length" in new else text
    path = write_file(tmp_path, "mine.csv", text)
    assert_refused(lambda: add_files(home, "step", [str(path)], shipped=shipped), names=["mine.csv", *names])
    assert not home.catalog.exists()


def test_a_step_says_where_it_comes_from(tmp_path: Path) -> None:
    text = f"{HEADER},software,measured_at\n{DECODE},torch 2,2026-11-27T09:00:00Z\n"
    origin = read_steps([make_source(write_file(tmp_path, "mine.csv", text), "step")])["origin"]
    assert origin["origin"].to_list() == ["torch 2, clock, 2026-11-27"]


def test_measured_steps_are_predicted(snapshot: duckdb.DuckDBPyConnection) -> None:
    """The bars of dense models in bf16, on one H100 and on several: decode in a graph, and prefill."""
    rows = snapshot.sql(
        "select phase, tensor_parallel > 1, avg(abs(relative_error)), max(abs(relative_error))"
        " from mart.measured_step inner join core.model as model using (model_id)"
        " where hardware_id = 'h100-sxm' and precision_id = 'bf16' and model.num_experts is null group by all"
    ).fetchall()
    found = {row[:2]: row[2:] for row in rows}
    assert found["decode", False][0] < 0.03
    assert found["decode", False][1] < 0.10
    assert found["decode", True][0] < 0.05
    assert found["prefill", False][0] < 0.07
    assert found["prefill", True][0] < 0.05


def test_a_step_waits_between_kernels(snapshot: duckdb.DuckDBPyConnection) -> None:
    """In a graph less than a microsecond each; what the program starts takes longer, at least as long as the host."""
    rows = snapshot.sql(
        "select launch, predicted_s - host_wait_s, list_sum(map_values(op_group_s)), host_wait_s"
        " from mart.predicted_step where hardware_id = 'h100-sxm' and model_id = 'llama-3-8b' and precision_id = 'bf16'"
        " and convention = 'engine' and phase = 'decode' and batch_size = 1 and sequence_length = 1024"
        " and tensor_parallel = 1 and fusion = 'none' order by launch"
    ).fetchall()
    (eager, graph) = rows
    assert [row[1] for row in rows] == pytest.approx([row[2] for row in rows])
    kernels = 32 * (8 + 14 + 2 + 2) + 3
    assert 0.1e-6 * kernels < graph[3] < 1e-6 * kernels
    assert eager[1] + eager[3] > 10e-6 * kernels
