"""Whole runs through Prefect: what they publish, what they leave alone, what survives a failure."""

import importlib
import inspect
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import duckdb
import pytest
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.settings import PREFECT_API_URL
from prefect.states import Scheduled
from ruamel.yaml import YAML

from flows.cli.app import run_command
from flows.ingest.catalog import SHIPPED
from flows.orchestrate.missed_runs import skip_missed_runs
from flows.orchestrate.refresh import refresh
from tests.support.drawings import draw_without_ink
from tests.support.files import ROOT, stat_files
from tests.support.inputs import CONFIG, DEVICE, WORKLOAD, list_bad_catalogs
from tests.support.terminal import STAGES_SHOWN, run_on_terminal
from tests.support.whole_runs import draw_nothing, run_without_prefect, write_small_catalog
from warehouse.home import Home
from warehouse.load import fingerprint_tables
from warehouse.snapshot import open_snapshot

DEVICES = len(list((SHIPPED / "hardware").iterdir()))
MANY = 5000  # rows
Tables = dict[str, list[tuple[object, ...]]]


def read_tables(home: Home) -> Tables:
    """Every row of every table of core; of large ones their number and a digest of them."""
    with open_snapshot(home.snapshot) as connection:
        return {
            name: [digest] if digest[0] > MANY else sorted(connection.sql(f"from core.{name}").fetchall(), key=str)
            for name, digest in fingerprint_tables(connection).items()
        }


def test_a_first_run_publishes_snapshot_and_site(finished: Home) -> None:
    found = read_tables(finished)
    assert [row[4] for row in found["run"]] == ["succeeded"]
    assert len(found["source"]) == len(
        [path for path in SHIPPED.rglob("*") if path.suffix in {".toml", ".json", ".csv"}]
    )
    assert len(found["hardware"]) == len(list((SHIPPED / "hardware").iterdir())) >= 35
    assert len(found["model"]) == len(list((SHIPPED / "models").iterdir())) >= 20
    assert (finished.site / "index.html").exists()
    assert not list(finished.path.glob("*.candidate"))
    assert not list(finished.path.glob(".rooflines-*"))


def test_the_same_inputs_change_nothing(home: Home) -> None:
    before, site, rows = home.snapshot.stat().st_mtime_ns, stat_files(home.site), read_tables(home)
    assert run_without_prefect(home, draws=True).status == "unchanged"
    assert home.snapshot.stat().st_mtime_ns == before
    assert stat_files(home.site) == site
    assert read_tables(home) == rows


@pytest.mark.slow
def test_the_same_inputs_give_the_same_rows_elsewhere(finished: Home, tmp_path: Path) -> None:
    run_without_prefect(Home(tmp_path / "other home"))
    mine, other = read_tables(finished), read_tables(Home(tmp_path / "other home"))
    for name in mine:
        if name == "source":
            assert [row[:-1] for row in mine[name]] == [row[:-1] for row in other[name]]
        elif name not in {"run", "run_change", "run_left_out", "schema_migration"}:
            assert mine[name] == other[name]


def test_one_changed_device_changes_only_what_depends_on_it(home: Home) -> None:
    before, site = read_tables(home), stat_files(home.site)
    (home.catalog / "hardware").mkdir(parents=True)
    text = (SHIPPED / "hardware" / "a40.toml").read_text("utf-8").replace("gb_per_s = 696", "gb_per_s = 700")
    (home.catalog / "hardware" / "a40.toml").write_text(text, "utf-8")

    with draw_without_ink():
        summary = run_without_prefect(home, draws=True)

    touched = {change.table: change.touched for change in summary.changes if change.touched}
    assert set(touched) == {"hardware", "ceiling", "source"}
    after = read_tables(home)
    for name in ("model", "op_shape", "op_cost", "precision", "workload"):
        assert after[name] == before[name]
    assert {row[0] for row in set(after["ceiling"]) ^ set(before["ceiling"])} == {"a40"}
    changed = {name for name, content in stat_files(home.site).items() if site.get(name) != content}
    pictures = {Path(name).parent.name for name in changed if name.startswith("charts/") and name.endswith(".svg")}
    assert pictures == {
        "roofline-llama-7b-a40", "roofline-llama-13b-a40", "roofline-llama-33b-a40", "device-a40", "devices-fp16",
        "predicted-llama-7b-a40", "devices-llama-3-8b-bf16",
        "throughput-llama-3-8b", "run-history",  # of one's own devices; of this run too
    }  # fmt: skip
    assert "data/core.op_cost.parquet" not in changed
    assert "data/mart.roof.parquet" in changed
    with open_snapshot(home.snapshot) as connection:
        history = connection.sql("select status, changed from mart.run_history order by run_number").fetchall()
    ceilings = sum(row[0] == "a40" for row in after["ceiling"])
    assert history[-1] == ("succeeded", f"ceiling +0 ~{ceilings} -0, hardware +0 ~1 -0, source +1 ~0 -1")

    (home.catalog / "hardware" / "a40.toml").unlink()
    run_without_prefect(home)
    assert read_tables(home)["ceiling"] == before["ceiling"]


def test_a_device_a_model_and_a_workload_of_ones_own(small_home: Home, small_shipped: Path, catalog: Path) -> None:
    (catalog / "hardware" / "mine.toml").write_text(DEVICE, "utf-8")
    (catalog / "models" / "mine-8b.json").write_text(str({**CONFIG, "num_key_value_heads": 8}).replace("'", '"'))
    (catalog / "workloads" / "mine.toml").write_text(WORKLOAD.replace("[128]", "[100, 200]"), "utf-8")
    run_without_prefect(small_home, small_shipped, given=catalog)
    with open_snapshot(small_home.snapshot) as connection:
        found = connection.sql(
            "select distinct sequence_length from mart.roofline_point where hardware_id = 'mine'"
            " and model_id = 'mine-8b' and sequence_length in (100, 200) order by 1"
        ).fetchall()
    assert found == [(100,), (200,)]


@pytest.mark.slow
def test_a_device_of_another_dtype_has_its_chart_and_a_bad_chart_is_told_of_each_time(
    home: Home, prefect_server: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (home.catalog / "hardware").mkdir(parents=True)
    (home.catalog / "hardware" / "mine.toml").write_text(DEVICE.replace('"fp16"', '"fp32"'), "utf-8")
    chart = '[[chart]]\nname = "bad"\ntemplate = "house"\nprecision_id = "fp16"\nsql = "select 1 as a"\n'
    (home.catalog / "gallery.toml").write_text(chart, "utf-8")
    told = "  left out  $ROOFLINES_HOME/catalog/gallery.toml: bad: "
    assert run_command(["run", "--home", str(home.path)]) == 0
    said = capsys.readouterr().out
    assert told in said
    assert run_command(["run", "--home", str(home.path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("unchanged: ")
    assert told in said
    page = (home.site / "charts" / "device-mine" / "index.html").read_text("utf-8")
    assert "Llama 7B in fp32" in page


@pytest.mark.slow
def test_bad_input_is_one_line_and_loses_nothing(
    home: Home, catalog: Path, prefect_server: None, capfd: pytest.CaptureFixture[str]
) -> None:
    before, site = home.snapshot.read_bytes(), stat_files(home.site)
    for mistake, (name, content, expected) in list_bad_catalogs().items():
        (catalog / name).write_text(content, "utf-8")
        code = run_command(["run", "--home", str(home.path), "--catalog", str(catalog)])
        captured = capfd.readouterr()
        assert code == 2, mistake
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1
        assert expected in captured.err
        assert str(catalog / name) in captured.err
        assert home.snapshot.read_bytes() == before
        assert stat_files(home.site) == site
        (catalog / name).unlink()
    assert run_command(["run", "--home", str(home.path)]) == 0


def test_a_duplicate_id_names_both_files(
    home: Home, catalog: Path, prefect_server: None, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("mine", "copy"):
        (catalog / "hardware" / f"{name}.toml").write_text(DEVICE, "utf-8")
    assert run_command(["run", "--home", str(home.path), "--catalog", str(catalog)]) == 2
    message = capfd.readouterr().err
    assert "copy.toml" in message
    assert "mine.toml" in message


def test_a_home_that_cannot_be_written(tmp_path: Path, prefect_server: None, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert run_command(["run", "--home", str(tmp_path / "file" / "home")]) == 2
    message = capfd.readouterr().err
    assert len(message.splitlines()) == 1
    assert "home" in message
    assert "expected a folder that can be written" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_without_permission(tmp_path: Path, prefect_server: None) -> None:
    (tmp_path / "home").mkdir(mode=0o500)
    assert run_command(["run", "--home", str(tmp_path / "home")]) == 2


def test_a_second_run_while_one_is_running(home: Home, prefect_server: None, capfd: pytest.CaptureFixture[str]) -> None:
    script = "import sys; from pathlib import Path; from warehouse.home import Home\n"
    script += "with Home(Path(sys.argv[1])).lock_for_writing(): print('held', flush=True); sys.stdin.read()"
    arguments = [sys.executable, "-c", script, str(home.path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        before = home.snapshot.read_bytes()
        assert run_command(["run", "--home", str(home.path)]) == 1
        message = capfd.readouterr().err
        assert len(message.splitlines()) == 1
        assert "another run is writing here" in message
        assert home.snapshot.read_bytes() == before
        other.stdin.close()
    assert run_command(["run", "--home", str(home.path)]) == 0


@pytest.mark.slow
def test_a_run_that_fails_late_leaves_the_old_snapshot(
    home: Home, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, site = home.snapshot.read_bytes(), stat_files(home.site)
    (home.catalog / "hardware").mkdir(parents=True)
    (home.catalog / "hardware" / "mine.toml").write_text(DEVICE, "utf-8")

    def fail(*_: object) -> None:
        raise RuntimeError("the pen broke")

    with monkeypatch.context() as patched:
        patched.setattr("flows.site.build.write_pages", fail)
        with pytest.raises(RuntimeError, match="the pen broke"):
            refresh(home=home.path)
    assert home.snapshot.read_bytes() == before
    assert stat_files(home.site) == site

    assert run_without_prefect(home).status == "succeeded"
    with open_snapshot(home.snapshot) as connection:
        statuses = connection.sql("select status, error from core.run order by run_number").fetchall()
    assert statuses == [("succeeded", None), ("failed", "the pen broke"), ("succeeded", None)]


def test_prefect_shows_the_run(tmp_path: Path, prefect_server: None) -> None:
    home, shipped = Home(tmp_path / "home"), write_small_catalog(tmp_path / "shipped")
    with mock.patch("flows.ingest.catalog.SHIPPED", shipped), draw_nothing():
        refresh(home=home.path)
    with get_client(sync_client=True) as client:
        last = client.read_flow_runs(limit=1, sort=FlowRunSort.START_TIME_DESC)[0]
        assert last.name == "refresh 1 devices, 1 models, 1 workloads"
        of_last = FlowRunFilter(id=FlowRunFilterId(any_=[last.id]))
        tasks = {
            run.name.rpartition("-")[0]
            for run in client.read_task_runs(flow_run_filter=of_last, sort=TaskRunSort.ID_DESC, limit=100)
        }
        of_run = {"artifacts": {"flow_run_id": {"any_": [str(last.id)]}}}
        found = client.request("POST", "/artifacts/filter", json=of_run).json()
    artifacts = {artifact["key"]: (artifact["type"], artifact["data"]) for artifact in found}
    expected = {
        "refresh": ("markdown", "succeeded"),
        "checks": ("table", "point_above_roof"),
        "site": ("markdown", f"{home.site.as_uri()}/index.html"),
    }
    assert set(artifacts) == set(expected)
    for key, (kind, text) in expected.items():
        assert artifacts[key][0] == kind
        assert text in artifacts[key][1]
    assert {"ingest", "compute", "load", "check", "write_snapshot", "draw_site", "promote"} <= tasks


def test_of_several_missed_runs_one_is_made_up_for(prefect_server: None) -> None:
    """The one that starts cancels the others; what is not due yet stays scheduled."""
    now = datetime.now(UTC)
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow_from_name("missed"), "missed")
        runs = [
            client.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=now + timedelta(hours=n)))
            for n in (-2, -1, 1)
        ]
        with (
            mock.patch("flows.orchestrate.missed_runs.runtime.deployment.id", deployment, create=True),
            mock.patch("flows.orchestrate.missed_runs.get_run_logger"),
        ):
            assert skip_missed_runs() == 2
        states = [client.read_flow_run(run.id).state for run in runs]
    assert [state and state.type.value for state in states] == ["CANCELLED", "CANCELLED", "SCHEDULED"]


def test_deployments_are_of_flows_that_exist() -> None:
    """See test_schedules for a server and a worker that follow them."""
    described = YAML(typ="safe").load(ROOT / "flows" / "orchestrate" / "prefect.yaml")
    for deployment in described["deployments"]:
        module, _, name = deployment["entrypoint"].rpartition(".")
        flow = getattr(importlib.import_module(module), name)
        assert isinstance(flow, Flow)
        assert set(deployment["parameters"]) <= set(inspect.signature(flow.fn).parameters)
        assert set(deployment) & {"schedules", "triggers"}
        assert deployment["concurrency_limit"]["limit"] == 1


def test_a_person_sees_progress_and_nothing_else(tmp_path: Path, prefect_server: None) -> None:
    """Of a small catalog, on a terminal, where Prefect would say more."""
    home, shipped = Home(tmp_path / "home"), write_small_catalog(tmp_path / "shipped")
    command = [sys.executable, "-m", "tests.support.small_command", str(shipped), "run", "--home", str(home.path)]
    code, seen = run_on_terminal(command, {"PREFECT_API_URL": PREFECT_API_URL.value()})
    assert code == 0
    assert any(line.startswith("querying ") for line in seen)
    assert any(line.startswith("published 1 devices") for line in seen)
    assert [line for line in seen if not line.startswith(("starting Prefect", *STAGES_SHOWN))] == []


def start_run(home: Home, tmp_path_factory: pytest.TempPathFactory) -> subprocess.Popen[str]:
    """Start `rooflines run` with a server of its own, in a process group of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment["PREFECT_HOME"] = str(tmp_path_factory.getbasetemp() / "prefect of killed runs")
    arguments = [sys.executable, "-m", "flows.cli", "run", "--home", str(home.path)]
    return subprocess.Popen(
        arguments, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def wait_for(folder: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    """Wait until a run has come so far that a path is there."""
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    assert process.poll() is None, "the run ended before it could be stopped"


@pytest.mark.slow
def test_a_killed_run_leaves_the_snapshot_and_the_next_one_mends(
    home: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With its server and the processes that draw; see test_faults for other moments."""
    before, site = home.snapshot.read_bytes(), stat_files(home.site)
    (home.catalog / "hardware").mkdir(parents=True)
    (home.catalog / "hardware" / "mine.toml").write_text(DEVICE, "utf-8")
    with start_run(home, tmp_path_factory) as process:
        wait_for(home.path, ".rooflines-site-*/new", process)
        os.killpg(process.pid, signal.SIGKILL)
    assert home.snapshot.read_bytes() == before
    assert stat_files(home.site) == site
    assert run_without_prefect(home, draws=True).status == "succeeded"
    with open_snapshot(home.snapshot) as connection:
        assert connection.sql("select count(*) from core.hardware").fetchall()[0] == (DEVICES + 1,)
        runs = connection.sql("select status, error from core.run order by run_number").fetchall()
    assert runs[0] == runs[-1] == ("succeeded", None)
    assert set(runs[1:-1]) <= {("failed", "interrupted")}
    assert not list(home.path.glob("*.candidate"))


@pytest.mark.slow
def test_ctrl_c_ends_a_run_at_once_and_loses_nothing(home: Home, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = home.snapshot.read_bytes()
    (home.catalog / "hardware").mkdir(parents=True)
    (home.catalog / "hardware" / "mine.toml").write_text(DEVICE, "utf-8")
    with start_run(home, tmp_path_factory) as process:
        wait_for(home.path, ".rooflines-site-*/new", process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the embedded server gets it too
        pressed = time.monotonic()
        _, message = process.communicate(timeout=60)
    assert time.monotonic() - pressed < 30
    assert process.returncode == 130
    assert message == "rooflines: interrupted; what is published stays as it was\n"
    assert home.snapshot.read_bytes() == before
    assert run_without_prefect(home).status == "succeeded"


def test_a_reader_keeps_the_version_that_it_opened(home: Home) -> None:
    count = "select count(*) from core.hardware"
    reader = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True)\n"
    reader += f"for _ in sys.stdin: print(c.sql('{count}').fetchall()[0][0], flush=True)"
    arguments = [sys.executable, "-c", reader, str(home.snapshot)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        answers = []
        for mine in (None, DEVICE):
            if mine:
                (home.catalog / "hardware").mkdir(parents=True)
                (home.catalog / "hardware" / "mine.toml").write_text(mine, "utf-8")
                run_without_prefect(home)
            process.stdin.write("\n")
            process.stdin.flush()
            answers.append(process.stdout.readline())
        process.stdin.close()
    assert answers == [f"{DEVICES}\n"] * 2
    with duckdb.connect(str(home.snapshot), read_only=True) as connection:
        assert connection.sql(count).fetchall()[0] == (DEVICES + 1,)
