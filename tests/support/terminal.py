"""What a person sees of a command on a terminal."""

import contextlib
import os
import pty
import re
import subprocess
from collections.abc import Mapping

from tests.support.files import ROOT

STAGES_SHOWN = (
    "looking for changes", "reading ", "computing ", "loading ", "checking", "writing ", "querying ", "drawn ",
    "published ", "  snapshot", "  site", "next: ",
)  # fmt: skip


def run_on_terminal(command: list[str], environment: Mapping[str, str]) -> tuple[int, set[str]]:
    """Run a command on a terminal of its own, and return how it ended and the lines that it showed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "DO_NOT"))}
    variables = {**inherited, "TERM": "xterm", "COLUMNS": "200", **environment}
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # what reading gives when the other end is closed
            while chunk := os.read(ours, 65536):
                seen += chunk
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    lines = {re.sub(r"^[\u2800-\u28ff] ", "", line) for line in re.split(r"[\r\n]+", text)} - {""}
    return process.returncode, lines
