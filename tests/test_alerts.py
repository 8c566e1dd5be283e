"""Who is told of a run that failed and of a file that was rejected, and that telling never fails."""

import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.cli.app import run_command
from flows.orchestrate.alerts import COMMAND, URL, Alert, alert_failed_run, send_alert
from flows.orchestrate.served_runs import SERVED_BY
from tests.support.listener import listen
from warehouse.home import Home

REJECTED = Alert(event="file-rejected", home="/srv/home", reason="broken TOML", file="bad.toml", flow_run_id="7")


@pytest.fixture(autouse=True)
def _nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (URL, COMMAND, SERVED_BY):
        monkeypatch.delenv(name, raising=False)


def test_a_webhook_and_a_command_get_the_same_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "told it"
    with listen() as listener:
        monkeypatch.setenv(URL, listener.url)
        monkeypatch.setenv(COMMAND, f"cat > {shlex.quote(str(out))}")
        send_alert(REJECTED)
    (document,) = listener.documents
    assert json.loads(out.read_text("utf-8")) == document
    told = {"event": "file-rejected", "home": "/srv/home", "reason": "broken TOML", "file": "bad.toml"}
    assert document.items() >= {**told, "flow_run_id": "7", "run": None}.items()
    assert document["told_at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("variable", "target", "reason"),
    [
        (URL, "http://127.0.0.1:1/", "Connection refused"),
        (URL, "http://127.0.0.1:port/", "nonnumeric port"),
        (URL, "file:///etc/hostname", "expected a URL"),
        (COMMAND, "exit 3", "exit status 3"),
        (COMMAND, "/no/such/command 2>&-", "exit status 127"),
    ],
)
def test_an_alert_that_nobody_takes_is_one_line_and_no_error(
    variable: str, target: str, reason: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, target)
    send_alert(REJECTED)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"rooflines: {variable}: the alert was not accepted: ")
    assert reason in line


def test_a_webhook_that_answers_with_an_error_did_not_take_the_alert(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with listen(500) as listener:
        monkeypatch.setenv(URL, listener.url)
        send_alert(REJECTED)
    assert "HTTP Error 500" in capfd.readouterr().err


def test_serving_says_a_line_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    send_alert(REJECTED)
    assert capfd.readouterr().err == ""
    monkeypatch.setenv(SERVED_BY, "1")
    send_alert(REJECTED)
    assert capfd.readouterr().err == "rooflines: bad.toml rejected: broken TOML\n"


def test_of_runs_within_each_other_the_outer_one_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    state = SimpleNamespace(name="Failed", message="Flow run encountered an exception: InputError: no\nsuch file")
    flow = SimpleNamespace(name="refresh")
    with listen() as listener:
        monkeypatch.setenv(URL, listener.url)
        for parent in ("a task", None):
            run = SimpleNamespace(name="night", id=1, parameters={"home": "/srv/home"}, parent_task_run_id=parent)
            alert_failed_run(flow, run, state)
    (document,) = listener.documents
    expected = {"event": "run-failed", "home": "/srv/home", "flow": "refresh", "run": "night", "flow_run_id": "1"}
    assert document.items() >= {**expected, "reason": "no such file"}.items()


def test_a_run_that_fails_before_prefect_is_there_tells_too(
    home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    home.catalog.mkdir()
    (home.catalog / "gallery.toml").write_text("[[chart", "utf-8")
    with listen() as listener:
        monkeypatch.setenv(URL, listener.url)
        assert run_command(["run", "--home", str(home.path)]) == 2
    (document,) = listener.documents
    assert document["event"] == "run-failed"
    assert capfd.readouterr().err == f"rooflines: {document['reason']}\n"


def test_an_address_that_cannot_be_posted_to_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["serve", "--alert-url", "me@example.org", "--home", str(tmp_path)]) == 2
    assert capfd.readouterr().err.startswith("rooflines: --alert-url: me@example.org; expected")
