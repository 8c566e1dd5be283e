"""Prefect settings that the project needs wherever it is called from.

`[tool.prefect]` in pyproject.toml says the same to Prefect's own commands in a checkout.
"""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.embedded_server import EmbeddedServer
from warehouse.errors import InputError

DEFAULTS = {
    "server.analytics_enabled": False,
    "server.ephemeral.startup_timeout_seconds": 120,
}


_RECORDS = 1_000_000  # bytes that Prefect's records of a first run take


def quiet_terminal() -> None:
    """Keep Prefect's log off the terminal; call it before the first import of Prefect."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


def opt_out_of_telemetry() -> None:
    """Keep Prefect's client from reporting its use, and from saying so; call it before the first import of Prefect."""
    os.environ.setdefault("DO_NOT_TRACK", "1")


def listen(handler: logging.Handler) -> None:
    """Pass what flow runs and their tasks log to a handler."""
    from prefect.logging.configuration import setup_logging  # noqa: PLC0415

    setup_logging()  # the first call takes off every handler
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addHandler(handler)


def refuse_unwritable_prefect_home() -> None:
    """Raise `InputError` where Prefect could not keep its own records, over which it would try for minutes."""
    folder = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_RECORDS))
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"PREFECT_HOME: {folder}: {reason}; expected a folder that can be written") from None


@contextmanager
def prefect_defaults() -> Iterator[None]:
    """Apply the settings that the user did not set."""
    from prefect.settings import temporary_settings  # noqa: PLC0415

    with temporary_settings(set_defaults=DEFAULTS):
        yield


@contextmanager
def answering(server: EmbeddedServer | None) -> Iterator[None]:
    """Wait for the embedded server, and have Prefect call it; without one, Prefect's settings say which."""
    from prefect.settings import get_current_settings, temporary_settings  # noqa: PLC0415

    if server is None:
        yield
        return
    server.wait(get_current_settings().server.ephemeral.startup_timeout_seconds)
    with temporary_settings(updates={"api.url": server.api_url}):
        yield
