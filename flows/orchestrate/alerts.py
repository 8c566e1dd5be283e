"""Tell of what failed while nobody looked on: on the terminal of `rooflines serve`, to a webhook, to a command.

Nothing here fails or holds up a run for long: what cannot be told is said in one line.
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

from flows.orchestrate.served import SERVED_BY
from warehouse.errors import InputError, one_line
from warehouse.home import Home

URL, COMMAND = "ROOFLINES_ALERT_URL", "ROOFLINES_ALERT_COMMAND"
_PATIENCE_S = 10
_OF_PREFECT = re.compile("^Flow run encountered an exception: ((Several)?Inputs?Error: |RunError: )?")


@dataclass(frozen=True)
class Trouble:
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
        """What a person reads of it."""
        if self.event == "file-rejected":
            return f"rooflines: {self.file} rejected: {self.reason}"
        return f"rooflines: {self.flow} failed: {self.reason} (run {self.run})"


def tell(trouble: Trouble) -> None:
    """Tell whom the environment names: the terminal of `rooflines serve`, a webhook, a command."""
    if SERVED_BY in os.environ:
        _say(trouble.line)
    told = {**asdict(trouble), "told_at": datetime.now(UTC).isoformat(timespec="seconds")}
    document = f"{json.dumps(told)}\n".encode()
    for variable, send in ((URL, _post), (COMMAND, _run)):
        if target := os.environ.get(variable):
            _try(variable, send, target, document)


def tell_of_failed_run(flow: Any, flow_run: Any, state: Any) -> None:
    """Tell of a flow run that failed or crashed: a hook of Prefect. Of runs within each other, the outer one tells."""
    if flow_run.parent_task_run_id is not None:
        return
    tell(
        Trouble(
            event="run-failed",
            home=str(Home.at(flow_run.parameters.get("home")).path),
            reason=_OF_PREFECT.sub("", one_line(state.message or state.name)),
            flow=flow.name,
            run=flow_run.name,
            flow_run_id=str(flow_run.id),
        )
    )


def refuse_bad_address(url: str) -> None:
    """Raise `InputError` where alerts could not be posted to an address."""
    if not url.startswith(("http://", "https://")):
        raise InputError(f"--alert-url: {url}; expected an address that begins with http:// or https://")


def _try(variable: str, send: Callable[[str, bytes], None], target: str, document: bytes) -> None:
    try:
        send(target, document)
    except (OSError, ValueError, InputError, HTTPException, subprocess.SubprocessError) as error:
        _say(f"rooflines: {variable}: the alert was not taken: {one_line(error)}")


def _post(url: str, document: bytes) -> None:
    refuse_bad_address(url)  # urllib would read files, too
    request = urllib.request.Request(url, document, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_PATIENCE_S):
        pass


def _run(command: str, document: bytes) -> None:
    subprocess.run(command, shell=True, input=document, timeout=_PATIENCE_S, check=True, stdout=subprocess.DEVNULL)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
