"""Alerts about unattended runs: on the terminal of `rooflines serve`, to a webhook, to a command.

Sending an alert never fails a run and never delays it for long: an alert that is not accepted is reported in one line.
"""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any, Literal

from flows.orchestrate.served_runs import SERVED_BY
from warehouse.errors import InputError, one_line
from warehouse.home import Home

URL, COMMAND = "ROOFLINES_ALERT_URL", "ROOFLINES_ALERT_COMMAND"
_PATIENCE_S = 10
_OF_PREFECT = re.compile("^Flow run encountered an exception: ((Several)?Inputs?Error: |RunError: )?")


@dataclass(frozen=True)
class Alert:
    """A run that failed, or a file that was rejected."""

    event: Literal["run-failed", "file-rejected"]
    home: str
    reason: str
    flow: str | None = None
    run: str | None = None
    flow_run_id: str | None = None
    file: str | None = None

    @property
    def line(self) -> str:
        """The alert as one line of text."""
        if self.event == "file-rejected":
            return f"rooflines: {self.file} rejected: {self.reason}"
        return f"rooflines: {self.flow} failed: {self.reason} (run {self.run})"


def send_alert(trouble: Alert) -> None:
    """Send an alert to everything that the environment names: a terminal, a webhook, a command."""
    if SERVED_BY in os.environ:
        _print_line(trouble.line)
    content = {**asdict(trouble), "told_at": datetime.now(UTC).isoformat(timespec="seconds")}
    document = f"{json.dumps(content)}\n".encode()
    for variable, send in ((URL, _post_json), (COMMAND, _run_command)):
        if target := os.environ.get(variable):
            _send_or_report(variable, send, target, document)


def alert_failed_run(flow: Any, flow_run: Any, state: Any) -> None:
    """Send an alert about a flow run that failed or crashed: a Prefect hook. Of nested runs, the outermost sends it."""
    if flow_run.parent_task_run_id is not None:
        return
    send_alert(
        Alert(
            event="run-failed",
            home=str(Home.at(flow_run.parameters.get("home")).path),
            reason=_OF_PREFECT.sub("", one_line(state.message or state.name)),
            flow=flow.name,
            run=flow_run.name,
            flow_run_id=str(flow_run.id),
        )
    )


def refuse_bad_url(url: str) -> None:
    """Raise `InputError` if alerts cannot be posted to a URL."""
    if not url.startswith(("http://", "https://")):
        raise InputError(f"--alert-url: {url}; expected a URL that begins with http:// or https://")


def _send_or_report(variable: str, send: Callable[[str, bytes], None], target: str, document: bytes) -> None:
    try:
        send(target, document)
    except (OSError, ValueError, InputError, HTTPException, subprocess.SubprocessError) as error:
        _print_line(f"rooflines: {variable}: the alert was not accepted: {one_line(error)}")


def _post_json(url: str, document: bytes) -> None:
    refuse_bad_url(url)  # urllib would read local files, too
    request = urllib.request.Request(url, document, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_PATIENCE_S):
        pass


def _run_command(command: str, document: bytes) -> None:
    subprocess.run(command, shell=True, input=document, timeout=_PATIENCE_S, check=True, stdout=subprocess.DEVNULL)


def _print_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
