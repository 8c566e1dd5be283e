"""The README and the worked questions tell the truth."""

import re
import shlex
from pathlib import Path

import duckdb
import pytest

from flows.cli.app import run_command
from flows.ingest.readers.hardware import read_hardware
from flows.ingest.readers.precision import read_precisions
from flows.ingest.readers.workload import read_workloads
from flows.site.snapshot_charts import list_snapshot_charts
from tests.support.documents import README, split_cells
from tests.support.files import ROOT, write_file
from tests.support.inputs import make_source
from tests.support.plain_run import plain_run
from warehouse.home import Home
from warehouse.sql_files import sql_files

CONSOLE = re.findall(r"```console\n\$ (.*)\n((?:(?!```).*\n)+)```", README)


def test_there_are_examples() -> None:
    assert len(CONSOLE) == README.count("```console") >= 2


@pytest.mark.parametrize(("command", "output"), CONSOLE)
def test_examples(
    command: str, output: str, finished: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "160")  # a wide terminal
    program, *arguments = shlex.split(command)
    assert program == "rooflines"
    assert run_command([*arguments, "--home", str(finished.path)]) == 0
    assert split_cells(capsys.readouterr().out) == split_cells(output)


def test_the_device_and_the_workload_can_be_read(tmp_path: Path) -> None:
    _, device, grid, precision = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    frames = read_hardware([make_source(write_file(tmp_path, "my-gpu.toml", device), "hardware")])
    assert frames["ceiling"]["value_per_s"].to_list() == [149.7e12, 696e9]
    workload = read_workloads([make_source(write_file(tmp_path, "my-grid.toml", grid), "workload")])["workload"]
    assert workload["models"].to_list() == [["llama-7b"]]
    listed = make_source(write_file(tmp_path, "precisions.toml", precision), "precision")
    assert read_precisions([listed])["precision"]["weight_bits"].to_list() == [4.0]


def test_the_gallery_is_drawn_on_a_fresh_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a run; of the other charts none is drawn, for they take long."""
    (block,) = (text for text in re.findall(r"```toml\n(.*?)```", README, re.DOTALL) if "[[chart]]" in text)
    home.catalog.mkdir()
    write_file(home.catalog, "gallery.toml", block)
    monkeypatch.setattr(
        "flows.site.publish.list_snapshot_charts",
        lambda opened: [entry for entry in list_snapshot_charts(opened) if entry.source],
    )
    summary = plain_run(home, draws=True)
    assert summary.left_out == ()
    names = ["mine-llama-13b-l40s", "mine-llama-3-8b-l40s", "my-kernels"]
    assert sorted(path.name for path in (home.site / "charts").iterdir()) == names
    for name in names:
        assert "<svg" in (home.site / "charts" / name / f"{name}.svg").read_text("utf-8")
        assert name in (home.site / "index.html").read_text("utf-8")


def test_files_that_are_named_are_there() -> None:
    named = re.findall(r"`((?:sql|charts|warehouse|flows|\.ci|\.github)/[\w./-]+)`|\]\((\.[\w./-]+)\)", README)
    for name in filter(None, (first or second for first, second in named)):
        if not name.startswith("warehouse/data"):
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("question", [path.stem for path in sql_files("queries")])
def test_worked_questions_have_answers(question: str, snapshot: duckdb.DuckDBPyConnection) -> None:
    (path,) = [path for path in sql_files("queries") if path.stem == question]
    assert path.read_text("utf-8").startswith("-- ")
    assert snapshot.sql(path.read_text("utf-8")).fetchall()
