"""Processes that run while a test does."""

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

from tests.support.files import ROOT

R = TypeVar("R")


@contextmanager
def run_beside(
    command: list[str], environment: dict[str, str], log: Path, folder: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the background, and end it and everything it started afterwards."""
    with (
        log.open("ab") as said,
        subprocess.Popen(
            command, env=environment, cwd=folder, stdout=said, stderr=said, stdin=subprocess.DEVNULL,
            start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie counts as ended."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return not found.stdout.strip().startswith("Z") and found.stdout.strip() != ""


def call_as_nobody(function: Callable[[], R], first: Callable[[], object] | None = None) -> R:
    """Call a function of a module in a process whose user may do nothing, and return what it returns.

    `first` is called there while the user may still read everything: what it loads is not looked for later. The
    user of the test's own process stays: whatever else is cleaned up in it meanwhile needs its rights.
    """
    spare = multiprocessing.get_context("forkserver")
    hears, said = spare.Pipe(duplex=False)
    process = spare.Process(target=_answer_as_nobody, args=(function, first, said))
    process.start()
    said.close()
    try:
        result: R = hears.recv()
        return result
    finally:
        process.join()


def _answer_as_nobody(function: Callable[[], object], first: Callable[[], object] | None, said: Connection) -> None:
    if first is not None:
        first()
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    said.send(function())
