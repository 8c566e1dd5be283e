"""Prefect as a command needs it: it sends no telemetry, and its log stays off the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from flows.cli.options import Common
from flows.cli.terminal import Progress, exit_at_once_on_interrupt, show_progress


@contextmanager
def open_prefect(common: Common) -> Iterator[Progress]:
    """Load Prefect with the project's settings; progress is shown meanwhile.

    Ctrl-C ends the process at once: the terminal stops the embedded server with the same keys, and Prefect would call
    it for minutes.

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
    ended = "interrupted; what is published stays as it was"
    with show_progress("starting Prefect") as show, exit_at_once_on_interrupt(show, ended), apply_defaults():
        refuse_strange_server()
        yield show
