"""What `rooflines run` does before Prefect is loaded."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import duckdb
import pytest
from prefect.settings import temporary_settings

from flows.cli.app import run_command
from flows.ingest.kinds import Frames, read_kind
from flows.ingest.source_file import SourceFile
from flows.look_ahead import look_ahead
from flows.run import Summary
from tests.support.files import ROOT, stat_files
from tests.support.inputs import DEVICE, list_bad_catalogs
from tests.support.listener import listen
from tests.support.processes import is_running
from tests.support.whole_runs import run_without_prefect
from warehouse.build import open_build
from warehouse.errors import InputError, RunError
from warehouse.home import Home
from warehouse.rows import fetch_rows


def list_runs(home: Home) -> list[tuple[str, str | None, str | None]]:
    with duckdb.connect(str(home.build), read_only=True) as connection:
        return fetch_rows(connection, "select status, flow_run_id, error from core.run order by run_number")


def write_device(home: Home, text: str = DEVICE) -> Path:
    file = home.catalog / "hardware" / "mine.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


def test_a_run_with_nothing_to_do_is_recorded_and_loads_no_prefect(home: Home) -> None:
    before, site = home.snapshot.read_bytes(), stat_files(home.site)
    script = "import sys; from flows.cli.app import run_command; code = run_command(sys.argv[1:])\n"
    script += (
        "sys.exit('prefect is loaded' if {'prefect', 'uvicorn', 'loky.backend.spawn'} & set(sys.modules) else code)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-c", script, "run", "--home", str(home.path)]
    for _ in range(2):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("unchanged: everything is up to date")
    assert (home.snapshot.read_bytes(), stat_files(home.site)) == (before, site)
    assert list_runs(home)[1:] == [("unchanged", None, None)] * 2


def test_runs_with_nothing_to_do_show_from_the_next_publication_on(home: Home) -> None:
    assert look_ahead(home, None, None)
    write_device(home)
    assert look_ahead(home, None, None) is None
    assert run_without_prefect(home).status == "succeeded"
    with duckdb.connect(str(home.snapshot), read_only=True) as connection:
        history = fetch_rows(connection, "select status from mart.run_history order by run_number")
    assert history == [("succeeded",), ("unchanged",), ("succeeded",)]


def test_a_flow_run_is_due_where_anything_changed(home: Home, tmp_path: Path) -> None:
    assert look_ahead(home, None, None, may_end=False) is None
    assert look_ahead(home, None, tmp_path / "published") is None
    page = home.site / "index.html"
    content = page.read_bytes()
    page.write_bytes(content + b"!")
    assert look_ahead(home, None, None) is None
    page.write_bytes(content)
    with open_build(home) as connection:
        connection.execute("update core.hardware set tdp_w = 1 where hardware_id = 'a40'")
    assert look_ahead(home, None, None) is None
    assert len(list_runs(home)) == 1


def test_the_home_is_put_right_even_if_nothing_changed(home: Home) -> None:
    half = home.snapshots / "half.partial"
    half.write_text("of a run that was cut off")
    home.build.unlink()
    summary = look_ahead(home, None, None)
    assert summary
    assert summary.status == "unchanged"
    assert not half.exists()
    assert [status for status, *_ in list_runs(home)] == ["succeeded", "unchanged"]


def test_the_option_flow_forces_a_flow_run(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    done = Summary("1", "unchanged")
    with (
        mock.patch("flows.orchestrate.settings.server_address", return_value=None),  # other tests may have one
        mock.patch("flows.cli.run._refresh", return_value=done) as refresh,
    ):
        assert run_command(["run", "--home", str(home.path)]) == 0
        assert not refresh.called
        assert run_command(["run", "--flow", "--home", str(home.path)]) == 0
        assert refresh.called


@pytest.mark.parametrize("mistake", list_bad_catalogs())
def test_bad_files_are_refused_and_the_run_is_recorded(home: Home, catalog: Path, mistake: str) -> None:
    name, content, expected = list_bad_catalogs()[mistake]
    (catalog / name).write_text(content, "utf-8")
    before = home.snapshot.read_bytes()
    with pytest.raises(InputError) as refused:
        look_ahead(home, catalog, None)
    assert expected in str(refused.value)
    assert str(catalog / name) in str(refused.value)
    assert home.snapshot.read_bytes() == before
    assert [status for status, *_ in list_runs(home)] == ["succeeded", "failed"]


def test_a_bad_chart_of_the_gallery_is_told_and_the_run_goes_on(home: Home) -> None:
    home.catalog.mkdir()
    (home.catalog / "gallery.toml").write_text('[[chart]]\nname = "x"\ntemplate = "hause"\n', "utf-8")
    told: list[str] = []
    assert look_ahead(home, None, None, warn=told.append) is None
    (line,) = told
    assert line.startswith("gallery.toml: x: ")
    assert 'template = "hause": expected' in line


def test_a_gallery_that_cannot_be_parsed_is_refused(home: Home) -> None:
    home.catalog.mkdir()
    (home.catalog / "gallery.toml").write_text("[[chart]\n", "utf-8")
    with pytest.raises(InputError, match=r"gallery.toml: broken TOML"):
        look_ahead(home, None, None)


def test_only_files_that_no_run_has_read_are_read_and_no_large_ones(home: Home) -> None:
    write_device(home)
    (home.catalog / "measurements").mkdir()
    (home.catalog / "measurements" / "of-any-size.csv").write_text("not looked at", "utf-8")
    kinds = []

    def read(kind: str, sources: list[SourceFile]) -> Frames:
        kinds.append(kind)
        return read_kind(kind, sources)

    with mock.patch("flows.core_tables.read_kind", read):
        look_ahead(home, None, None)
    assert set(kinds) == {"hardware"}


def test_a_home_that_is_held_is_told_before_anything_is_read(
    home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flows.cli.run._look_ahead", lambda *_, **__: pytest.fail("the run began"))
    monkeypatch.setattr("flows.cli.run._refresh", lambda *_: pytest.fail("Prefect was loaded"))
    with home.lock_for_writing():
        assert run_command(["run", "--home", str(home.path)]) == 1
    assert "another run is writing here" in capfd.readouterr().err


def test_a_writer_takes_over_what_was_held_ahead_and_gives_it_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.lock_ahead():
        for _ in range(2):
            with home.lock_for_writing(), pytest.raises(RunError, match="another run"), home.lock_for_writing():
                pass
        with pytest.raises(ValueError, match="failed"), home.lock_for_writing():
            raise ValueError("failed")
        command = [sys.executable, "-c", "import sys; from pathlib import Path; from warehouse.home import Home\n"]
        command[-1] += "with Home(Path(sys.argv[1])).lock_for_writing(): pass"
        done = subprocess.run([*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)
        assert "another run is writing here" in done.stderr
    with home.lock_for_writing(), pytest.raises(RunError, match="another run"), home.lock_ahead():
        pass


COMMANDS = [["run"], ["serve"], ["sweep", "--name", "x", "--runner", "dask", "--address", "tcp://x:1", "--out", "/x"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_server_that_does_not_answer_is_one_line(
    command: list[str], home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert run_command([*command, "--home", str(home.path)]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("rooflines: PREFECT_API_URL: http://127.0.0.1:1/api: ")
    assert line.endswith("Connection refused; expected a Prefect server that answers")


def test_a_server_that_takes_the_call_and_says_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/api")
        monkeypatch.setattr("flows.orchestrate.settings._ANSWER_S", 0.5)
        assert run_command(["run", "--home", str(home.path)]) == 2
    assert "no answer within 0.5 s" in capfd.readouterr().err


@pytest.mark.parametrize(("status", "expected"), [(404, "a Prefect server"), (401, "PREFECT_API_AUTH_STRING")])
def test_a_server_that_is_not_ours(
    status: int, expected: str, home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with listen(status) as server, temporary_settings(updates={"api.url": f"{server.url}/api"}):
        assert run_command(["run", "--home", str(home.path)]) == 2
    assert f"PREFECT_API_URL: {server.url}/api: {status} " in (message := capfd.readouterr().err)
    assert f"expected {expected}" in message


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    """In a process of its own: in this one, other tests may have a server that all commands use."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", "serve", "--port", port, "--home", str(tmp_path / "home")],
            env={**environment, "PREFECT_HOME": str(tmp_path / "prefect")},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    expected = f"rooflines: --port: {port}: Address already in use; expected a free port, or 0 for any\n"
    assert (done.returncode, done.stderr) == (2, expected)


def test_processes_that_draw_end_with_a_run_that_is_killed() -> None:
    script = "import time; from flows.site import drawing_processes as drawing; drawing.start()\n"
    script += "print(*drawing._start_executor()._processes, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        drawing = [int(pid) for pid in process.stdout.readline().split()]
        assert drawing
        assert all(map(is_running, drawing))
        process.send_signal(signal.SIGKILL)
    end = time.monotonic() + 30
    while any(map(is_running, drawing)):
        assert time.monotonic() < end, "they draw for nobody"
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("prefect.toml", '[api]\nurl = "http://127.0.0.1:7/api"\n', "http://127.0.0.1:7/api"),
        pytest.param(
            ".env", "PREFECT_API_URL=http://127.0.0.1:7/api\n", "http://127.0.0.1:7/api", marks=pytest.mark.slow,
        ),
        pytest.param(
            "home/profiles.toml", 'active = "x"\n[profiles.x]\nPREFECT_API_URL = "http://127.0.0.1:7/api"\n',
            "http://127.0.0.1:7/api", marks=pytest.mark.slow,
        ),
        ("prefect.toml", '[logging]\nlevel = "INFO"\n', "None without Prefect"),
        (None, "", "None without Prefect"),
    ],
)  # fmt: skip
def test_files_of_settings_may_name_a_server(tmp_path: Path, file: str | None, text: str, expected: str) -> None:
    (tmp_path / "home").mkdir()
    if file:
        (tmp_path / file).write_text(text, "utf-8")
    script = "import sys; from flows.orchestrate.settings import server_address\n"
    script += "print(server_address(), '' if 'prefect' in sys.modules else 'without Prefect')"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**inherited, "PYTHONPATH": str(ROOT), "PREFECT_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected
