"""Schedules: a real server, on PostgreSQL where that is installed, a real worker, and `rooflines serve`."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from flows.ingest.catalog import SHIPPED
from tests.support.files import ROOT
from tests.support.listener import Listener, listen
from tests.support.postgresql import find_free_port, find_postgresql, start_postgresql
from tests.support.processes import is_running, run_beside
from warehouse.home import Home
from warehouse.snapshot import find_published_run

EVERY_S = 15
PATIENCE_S = 240

T = TypeVar("T")

pytestmark = pytest.mark.slow


def wait_until(question: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Ask until the answer is yes, and return it."""
    end = time.monotonic() + patience_s
    while not (answer := question()):
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.5)
    return answer


@pytest.fixture(scope="module")
def database() -> Iterator[str | None]:
    """A database of PostgreSQL; None where that is not installed, and Prefect keeps its records in SQLite."""
    if find_postgresql() is None:
        yield None
        return
    with start_postgresql() as server:
        yield f"postgresql+asyncpg://{server.user}@127.0.0.1:{server.port}/postgres"


@pytest.fixture(scope="module")
def environment(database: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a server's users have in their environment, while it runs."""
    folder, port = tmp_path_factory.mktemp("server"), find_free_port()
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    variables |= {"PREFECT_HOME": str(folder), "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1"}
    served = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    if database:
        served["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
    url = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), "--no-ui"]
    with run_beside(command, variables | served, folder / "server.log"):
        wait_until(lambda: is_answering(f"{url}/health"))
        yield {**variables, "PREFECT_API_URL": url}


def is_answering(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.HTTPError:
        return False


def find_runs(environment: dict[str, str], flow: str, **state: list[str]) -> list[dict[str, Any]]:
    """Return the runs of a flow, in the order of the times that they were due at."""
    asked = {
        "flows": {"name": {"any_": [flow]}},
        "flow_runs": {"state": {name: {"any_": values} for name, values in state.items()}},
        "sort": "EXPECTED_START_TIME_ASC",
    }
    found: list[dict[str, Any]] = httpx.post(f"{environment['PREFECT_API_URL']}/flow_runs/filter", json=asked).json()
    return found


def rename_a_device(home: Home) -> None:
    """Change something that a run publishes."""
    folder = home.catalog / "hardware"
    folder.mkdir(parents=True)
    text = (SHIPPED / "hardware" / "a40.toml").read_text("utf-8")
    (folder / "mine.toml").write_text(text.replace('"a40"', '"mine"').replace('"A40"', '"Mine"'), "utf-8")


def test_deployments(environment: dict[str, str], home: Home, tmp_path: Path) -> None:
    with listen() as listener:
        environment = {**environment, "ROOFLINES_HOME": str(home.path), "ROOFLINES_ALERT_URL": listener.url}
        _deploy_and_follow(environment, home, tmp_path, listener)


def _deploy_and_follow(environment: dict[str, str], home: Home, tmp_path: Path, listener: Listener) -> None:
    prefect = [sys.executable, "-m", "prefect"]
    worker = [*prefect, "worker", "start", "--type", "process", "--pool", "rooflines", "--limit", "1"]
    deployments = (ROOT / "flows" / "orchestrate" / "prefect.yaml").read_text("utf-8")
    nightly = '      - cron: "15 3 * * *"\n        timezone: Etc/UTC\n'
    assert nightly in deployments
    often = tmp_path / "prefect.yaml"
    often.write_text(deployments.replace(nightly, f"      - interval: {EVERY_S}\n"), "utf-8")

    first, _ = find_published_run(home)
    device = home.catalog / "hardware" / "a40.toml"
    device.parent.mkdir(parents=True)
    text = (SHIPPED / "hardware" / "a40.toml").read_text("utf-8")
    device.write_text(text.replace("gb_per_s = 696", "gb_per_s = 690"), "utf-8")
    with run_beside(worker, environment, tmp_path / "worker.log") as process:
        pool = f"{environment['PREFECT_API_URL']}/work_pools/rooflines"
        wait_until(lambda: is_answering(pool))
        deploy = [*prefect, "--no-prompt", "deploy", "--all", "--prefect-file", str(often)]
        subprocess.run(deploy, env=environment, cwd=ROOT, check=True, stdin=subprocess.DEVNULL, capture_output=True)

        # the schedule fires, the snapshot changes, and the flow publish follows
        wait_until(lambda: find_runs(environment, "refresh", type=["COMPLETED"]))
        second, _ = find_published_run(home)
        assert second != first
        wait_until(lambda: find_runs(environment, "publish", type=["COMPLETED"]))
        assert (home.path / "public" / "index.html").read_bytes() == (home.site / "index.html").read_bytes()

        # a run that fails leaves the snapshot, and says why
        device.write_text(text.replace("gb_per_s = 696", "gb_per_s = -696"), "utf-8")
        (failed, *_) = wait_until(lambda: find_runs(environment, "refresh", type=["FAILED"]))
        assert "a40.toml: bandwidth[0].gb_per_s = -696: expected" in failed["state"]["message"]
        assert find_published_run(home)[0] == second
        wait_until(lambda: listener.documents)
        assert (
            listener.documents[0].items() >= {"event": "run-failed", "flow": "refresh", "home": str(home.path)}.items()
        )
        assert "a40.toml: bandwidth[0].gb_per_s = -696: expected" in listener.documents[0]["reason"]
        device.unlink()

        # a run in another home is followed by the publication of that home
        shutil.copytree(home.path, tmp_path / "other home", ignore=shutil.ignore_patterns("public", "catalog"))
        other = Home(tmp_path / "other home")
        rename_a_device(other)
        command = [sys.executable, "-m", "flows.cli", "run", "--home", str(other.path)]
        subprocess.run(command, env=environment, cwd=ROOT, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        wait_until((other.path / "public" / "devices" / "mine" / "index.html").exists)
        process.terminate()
        process.wait(60)

    # of what was missed while there was no worker, one run is caught up with
    def ended() -> dict[str, str]:
        return {
            run["id"]: run["state"]["type"]
            for run in find_runs(environment, "refresh", type=["COMPLETED", "CANCELLED"])
        }

    def late() -> list[str]:
        return [run["id"] for run in find_runs(environment, "refresh", name=["Late"])]

    before = ended()
    wait_until(lambda: len(late()) > 1)
    missed = late()
    with run_beside(worker, environment, tmp_path / "worker.log"):
        wait_until(lambda: set(missed) <= ended().keys())
    assert sorted(ended()[run] for run in missed) == ["CANCELLED"] * (len(missed) - 1) + ["COMPLETED"]
    assert not before.keys() & set(missed)
    assert find_published_run(home)[0] not in (first, second)


def test_serving(home: Home, tmp_path: Path) -> None:
    """From a folder and on a home that hold other modules of our names."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    variables |= {"PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": str(ROOT)}
    shutil.copytree(home.path, tmp_path / "my home")
    place = Home(tmp_path / "my home")
    place.incoming.mkdir()
    text = (SHIPPED / "hardware" / "a40.toml").read_text("utf-8").replace('"a40"', '"mine"').replace('"A40"', '"Mine"')
    for name, content in (("mine.toml", text), ("bad.toml", "x ="), (".half.toml", "x =")):
        (place.incoming / name).write_text(content, "utf-8")
    first, _ = find_published_run(place)
    for folder in (tmp_path / "elsewhere" / "flows", place.path / "flows"):
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise RuntimeError('not these')", "utf-8")
    script = "import sys; sys.path.remove(''); from flows.cli.app import main; main()"
    log = tmp_path / "log"
    with listen() as listener:
        options = ["--incoming-every", "5", "--port", "0", "--alert-url", listener.url, "--home", str(place.path)]
        command = [sys.executable, "-c", script, "serve", *options]
        with run_beside(command, variables, log, tmp_path / "elsewhere") as process:
            wait_until(lambda: find_published_run(place)[0] != first)

            # what the next one starts fails
            place.sweeps.write_text("in the way", "utf-8")
            ours = text.replace('"mine"', '"ours"').replace('"Mine"', '"Ours"')
            (place.incoming / "ours.toml").write_text(ours, "utf-8")
            wait_until(lambda: len(listener.documents) > 1)

            # killed, it leaves no process behind
            children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
            assert children.stdout
            process.kill()
            wait_until(lambda: not any(map(is_running, map(int, children.stdout.split()))), 30)
    assert (place.catalog / "hardware" / "mine.toml").read_text("utf-8") == text
    assert {path.name for path in place.incoming.iterdir()} == {".half.toml", "accepted", "rejected"}
    reason = (place.incoming / "rejected" / "bad.toml.reason.txt").read_text("utf-8")
    assert "bad.toml: broken TOML" in reason
    rejected, failed = listener.documents
    assert rejected.items() >= {"event": "file-rejected", "file": "bad.toml", "home": str(place.path)}.items()
    assert failed.items() >= {"event": "run-failed", "home": str(place.path)}.items()
    said = [line for line in log.read_text("utf-8").splitlines() if not line.startswith("serving ")]
    assert said == [
        f"rooflines: bad.toml rejected: {rejected['reason']}",
        f"rooflines: {failed['flow']} failed: {failed['reason']} (run {failed['run']})",
    ]
    assert failed["reason"] == f"{place.sweeps}: expected a folder; move away what is there, and run again"
