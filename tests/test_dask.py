"""Sweeps on many machines: a cluster within the process; in the slow tier, real workers, of which some die."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.files import ROOT

pytest.importorskip("distributed", reason="the extra dask is not installed")

from distributed import LocalCluster

from flows.cli.app import run_command
from flows.sweep import dask as dask_module
from flows.sweep.dask import dask_runner
from flows.sweep.grid import Part
from flows.sweep.parts import Runner
from flows.sweep.request import Request
from flows.sweep.run import run_sweep
from tests.support.postgresql import find_free_port
from tests.support.processes import run_beside
from tests.support.sweeps import COST, KEY, query_snapshot
from warehouse.errors import InputError, RunError
from warehouse.home import Home
from warehouse.sweeps.registry import PartFile, sweep_folder

GRID = Request("many", ["llama-7b", "gpt2"], batch="1:8:1", sequence="128:1024:128", rows_per_part=100)
HALF = 20  # about, of its parts
DASK = [sys.executable, "-P", "-m", "distributed.cli.dask_{}", "--no-dashboard"]

Started = subprocess.Popen[bytes]


def command(program: str, *arguments: str) -> list[str]:
    return [part.format(program) for part in DASK] + list(arguments)


@contextmanager
def run_scheduler(folder: Path) -> Iterator[tuple[str, Started]]:
    port = find_free_port()
    run = command("scheduler", "--host", "127.0.0.1", "--port", str(port))
    with run_beside(run, {"PYTHONPATH": str(ROOT)}, folder / "scheduler.log") as process:
        yield f"tcp://127.0.0.1:{port}", process


@contextmanager
def run_worker(address: str, folder: Path, code: Path = ROOT) -> Iterator[Started]:
    options = ["--no-nanny", "--nthreads", "1", "--local-directory", str(folder / "scratch")]
    with run_beside(command("worker", address, *options), {"PYTHONPATH": str(code)}, folder / "worker.log") as process:
        yield process


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[Started]]]:
    """A scheduler and two workers."""
    folder = tmp_path_factory.mktemp("dask")
    with ExitStack() as stack:
        address, _ = stack.enter_context(run_scheduler(folder))
        yield address, [stack.enter_context(run_worker(address, folder)) for _ in range(2)]


def do_after(count: int, runner: Runner, what: Callable[[], object]) -> Runner:
    """A runner beside which something happens when so many parts are done."""

    def run(work: Callable[[Part], PartFile], parts: Sequence[Part]) -> Iterator[PartFile]:
        for number, file in enumerate(runner(work, parts)):
            if number == count:
                what()
            yield file

    return run


def test_workers_write_the_parts_of_a_sweep(home: Home, tmp_path: Path) -> None:
    request = Request("few", ["gpt2"], batch="1,2", sequence="128", rows_per_part=26, out=tmp_path / "shared")
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, host="127.0.0.1", protocol="tcp"
    ) as within:
        done = run_sweep(home, request, runner=dask_runner(within.scheduler_address, tmp_path / "shared" / "few"))
    assert (done.row_count, done.part_count) == (52, 2)
    assert query_snapshot(home, "select count(*), count(distinct op) > 9 from mart.sweep_cost") == [(52, True)]


@pytest.mark.slow
def test_from_the_command(
    cluster: tuple[str, list[Started]],
    prefect_server: None,
    home: Home,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--name", "few", "--model", "gpt2", "--batch", "1,2", "--sequence", "128", "--rows-per-part", "26"]
    arguments += ["--runner", "dask", "--address", cluster[0], "--out", str(tmp_path / "shared")]
    assert run_command(["sweep", *arguments, "--home", str(home.path)]) == 0
    assert "swept 52 rows, 0 MB: 0 of 2 parts were there" in capsys.readouterr().out
    assert query_snapshot(home, "select count(*), count(distinct op) > 9 from mart.sweep_cost") == [(52, True)]


@pytest.mark.slow
def test_a_killed_worker_costs_no_part(
    cluster: tuple[str, list[Started]], home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_module, "_AHEAD", 8)
    address, workers = cluster
    request = replace(GRID, out=tmp_path / "shared")
    _, folder = sweep_folder(home, request.name, request.out)
    done = run_sweep(home, request, runner=do_after(HALF, dask_runner(address, folder), workers[0].kill))
    assert workers[0].wait(5) == -9
    assert HALF < done.part_count < 3 * HALF
    files = [path for path in (tmp_path / "shared").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".parquet"}
    assert len(files) == done.part_count

    run_sweep(home, replace(GRID, name="alone"))
    columns = ", ".join([*KEY, *COST])
    rows = {name: f"select {columns} from mart.sweep_cost where sweep_id = '{name}'" for name in ("many", "alone")}
    for one, other in (("many", "alone"), ("alone", "many")):
        assert query_snapshot(home, f"select count(*) from ({rows[one]})") == [(done.row_count,)]
        assert query_snapshot(home, f"select count(*) from ({rows[one]} except all {rows[other]})") == [(0,)]


@pytest.mark.slow
def test_storage_that_a_worker_does_not_see(
    cluster: tuple[str, list[Started]], home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_module, "_put_mark", lambda _mark: None)
    with pytest.raises(InputError, match=r"--out: worker tcp://.* does not see this folder; expected one on shared"):
        run_sweep(home, replace(GRID, out=tmp_path), runner=dask_runner(cluster[0], tmp_path))


@pytest.mark.slow
def test_what_a_cluster_can_lack(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker, one without the package, one of another version; at last the scheduler goes."""
    monkeypatch.setattr(dask_module, "_PATIENCE_S", 1)
    request, shared = replace(GRID, out=tmp_path / "shared"), tmp_path / "shared" / GRID.name
    without, other = tmp_path / "without", tmp_path / "other"
    (without / "flows").mkdir(parents=True)
    (without / "flows" / "__init__.py").touch()
    for folder in ("flows", "warehouse", "sql"):
        shutil.copytree(ROOT / folder, other / folder, ignore=shutil.ignore_patterns("data", "catalog", "__pycache__"))
    with (other / "flows" / "sweep" / "grid.py").open("a") as code:
        code.write("CHANGED = True\n")
    with run_scheduler(tmp_path) as (address, process):
        runner = dask_runner(address, shared)
        with pytest.raises(InputError, match=r"--address: .*: no worker; expected one within 1 s"):
            run_sweep(home, request, runner=runner)
        monkeypatch.setattr(dask_module, "_PATIENCE_S", 30)
        for code_of_worker, reason in (
            (without, "No module named .*flows.*expected this version of rooflines"),
            (other, "other versions of rooflines or polars"),
        ):
            with (
                run_worker(address, tmp_path, code_of_worker) as unfit,
                pytest.raises(InputError, match=rf"worker tcp://.*{reason}"),
            ):
                run_sweep(home, request, runner=runner)
            unfit.kill()
        monkeypatch.setattr(dask_module, "_PATIENCE_S", 5)
        with (
            run_worker(address, tmp_path) as only,
            pytest.raises(RunError, match=r"no worker is left; .* parts are finished"),
        ):
            run_sweep(home, request, runner=do_after(3, runner, only.kill))
        with (
            run_worker(address, tmp_path),
            pytest.raises(RunError, match=r"scheduler at tcp://.* is gone; .* parts are"),
        ):
            run_sweep(home, request, runner=do_after(3, runner, process.kill))
    assert query_snapshot(home, "select count(*) from mart.sweep") == [(0,)]
    assert run_sweep(home, request).parts_before > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--address", "tcp://127.0.0.1:1", "--out", "{tmp}"], "--address: tcp://127.0.0.1:1: Timed out"),
        (["--address", "nowhere", "--out", "{tmp}"], "--address: nowhere: missing port number"),
        (["--address", "tcp://127.0.0.1:1"], "--runner dask: expected --out, a folder on storage that every"),
        (["--out", "{tmp}"], "--runner dask: expected --address of its scheduler"),
    ],
)
def test_what_is_no_cluster(
    arguments: list[str],
    expected: str,
    prefect_server: None,
    home: Home,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dask_module, "_CONNECT_S", 1)
    given = [argument.format(tmp=tmp_path / "shared") for argument in arguments]
    request = ["--name", "few", "--model", "gpt2", "--batch", "1", "--sequence", "128", "--runner", "dask"]
    assert run_command(["sweep", *request, *given, "--home", str(home.path)]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("address", "expected"), [("tcp://127.0.0.1:1", "Timed out"), ("nowhere", "missing port number")]
)
def test_an_address_without_a_scheduler_is_named(
    address: str, expected: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_module, "_CONNECT_S", 1)
    with pytest.raises(InputError, match=f"--address: {address}: {expected}"):
        run_sweep(home, replace(GRID, out=tmp_path), runner=dask_runner(address, tmp_path))


def test_without_the_extra(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    arguments = ["--name", "a", "--runner", "dask", "--address", "tcp://127.0.0.1:1", "--out", str(tmp_path)]
    assert run_command(["sweep", *arguments, "--home", str(home.path)]) == 2
    assert (
        capsys.readouterr().err == "rooflines: --runner dask: expected the extra dask: pip install 'rooflines[dask]'\n"
    )
