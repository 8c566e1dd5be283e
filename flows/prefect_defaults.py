"""Prefect settings that the project needs wherever it is called from.

`[tool.prefect]` in pyproject.toml says the same to Prefect's own commands in a checkout.
"""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warehouse.errors import InputError

DEFAULTS = {
    "server.analytics_enabled": False,
    "server.ephemeral.startup_timeout_seconds": 120,
}


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
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"PREFECT_HOME: {folder}: {reason}; expected a folder that can be written") from None


def start_server() -> None:
    """Start Prefect's embedded server, or find the one that `PREFECT_API_URL` names."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    with get_client(sync_client=True) as client:
        client.hello()


@contextmanager
def prefect_defaults() -> Iterator[None]:
    """Apply the settings that the user did not set."""
    from prefect.settings import temporary_settings  # noqa: PLC0415

    with temporary_settings(set_defaults=DEFAULTS):
        yield
