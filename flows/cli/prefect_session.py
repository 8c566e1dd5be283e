"""Prefect as a command needs it: it sends no telemetry, and its log stays off the terminal."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from flows.cli.options import Common
from flows.cli.terminal import Progress, show_progress


@contextmanager
def open_prefect(common: Common) -> Iterator[Progress]:
    """Load Prefect with the project's settings; progress is shown meanwhile.

    Raises
    ------
    InputError
        Prefect's data directory cannot be written, or its settings name a server that does not answer as one.
    """
    from flows.orchestrate.settings import (
        apply_defaults,
        keep_prefect_home,
        opt_out_of_telemetry,
        quiet_terminal,
        refuse_silent_server,
        refuse_strange_server,
        refuse_unwritable_prefect_home,
    )

    refuse_unwritable_prefect_home()
    refuse_silent_server()
    keep_prefect_home()
    opt_out_of_telemetry()
    if not common.debug:
        quiet_terminal()
    with show_progress("starting Prefect") as show, _exit_at_once_on_interrupt(show), apply_defaults():
        refuse_strange_server()
        yield show


@contextmanager
def _exit_at_once_on_interrupt(show: Progress) -> Iterator[None]:
    """End the process as soon as the user presses Ctrl-C.

    The terminal stops the embedded server with the same keys, and Prefect would call it for minutes. A run can be
    interrupted anywhere: what is published stays, and the next run repairs the rest.
    """

    def leave(_signal: int, _frame: object) -> None:
        show.stop()
        print("rooflines: interrupted; what is published stays as it was", file=sys.stderr, flush=True)
        os._exit(130)

    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
