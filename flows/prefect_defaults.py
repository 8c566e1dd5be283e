"""Prefect settings that the project needs wherever it is called from.

`[tool.prefect]` in pyproject.toml says the same to Prefect's own commands in a checkout.
"""

import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from queue import Empty, Queue

from flows.embedded_server import EmbeddedServer
from warehouse.errors import InputError, one_line

DEFAULTS = {
    "server.analytics_enabled": False,
    "server.ephemeral.startup_timeout_seconds": 120,
}


# files beside the working folder's that may hold settings of Prefect
_SETTINGS = ("prefect.toml", "pyproject.toml", ".env")
_ANSWER_S = 3
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
    folder = _prefect_home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_RECORDS))
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"PREFECT_HOME: {folder}: {reason}; expected a folder that can be written") from None


def names_a_server() -> bool:
    """Whether Prefect's settings name a server; Prefect is loaded only if a file of settings may do so."""
    if "PREFECT_API_URL" in os.environ:
        return bool(os.environ["PREFECT_API_URL"].strip())
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or _prefect_home() / "profiles.toml")
    if "prefect" not in sys.modules and not any(map(_may_name_a_server, (profiles, *map(Path, _SETTINGS)))):
        return False
    from prefect.settings import get_current_settings  # noqa: PLC0415

    return get_current_settings().api.url is not None


def refuse_silent_server() -> None:
    """Raise `InputError` if Prefect's settings name a server that does not answer: it would be called for minutes."""
    from prefect.settings import get_current_settings  # noqa: PLC0415

    url = get_current_settings().api.url
    if url is None:
        return
    failures: Queue[Exception | None] = Queue()
    # a thread, since to look up a name can take longer
    threading.Thread(target=copy_context().run, args=(_ask_for_version, failures), daemon=True).start()
    try:
        failure = failures.get(timeout=_ANSWER_S)
    except Empty:
        failure = TimeoutError(f"no answer within {_ANSWER_S} s")
    if failure is not None:
        reason = one_line(failure) or type(failure).__name__
        raise InputError(f"PREFECT_API_URL: {url}: {reason}; expected a Prefect server that answers")


def _ask_for_version(failures: "Queue[Exception | None]") -> None:
    from prefect.client.orchestration import get_client  # noqa: PLC0415
    from prefect.settings import temporary_settings  # noqa: PLC0415

    try:
        with temporary_settings(updates={"client.max_retries": 0}):
            get_client(sync_client=True).api_version()
    except Exception as error:
        failures.put(error)
    else:
        failures.put(None)


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


def _prefect_home() -> Path:
    return Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()


def _may_name_a_server(file: Path) -> bool:
    with suppress(OSError):
        return "api" in file.read_text("utf-8", "replace").lower()
    return False
