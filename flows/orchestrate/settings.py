"""Prefect settings that the project needs, wherever it is called from.

`[tool.prefect]` in pyproject.toml holds the same values for Prefect's own commands in a checkout.
"""

import logging
import os
import re
import ssl
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from queue import Empty, Queue

from flows.orchestrate.embedded_server import EmbeddedServer
from warehouse.errors import InputError, one_line

DEFAULTS = {
    "server.analytics_enabled": False,
    "server.ephemeral.startup_timeout_seconds": 120,
}


# files in the working folder that may hold Prefect settings
_SETTINGS = ("prefect.toml", "pyproject.toml", ".env")
_ANSWER_S = 4
_UNAUTHORIZED = 401
_RECORDS = 1_000_000  # bytes that Prefect writes in a first run


def quiet_terminal() -> None:
    """Keep Prefect's log off the terminal; call it before the first import of Prefect."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


def opt_out_of_telemetry() -> None:
    """Turn off Prefect's telemetry; call it before the first import of Prefect."""
    os.environ.setdefault("DO_NOT_TRACK", "1")


def keep_prefect_home() -> None:
    """Make PREFECT_HOME absolute, for processes with another working folder; call it before importing Prefect."""
    if os.environ.get("PREFECT_HOME"):
        os.environ["PREFECT_HOME"] = str(_prefect_home().absolute())


def attach_handler(handler: logging.Handler) -> None:
    """Send the logs of flow and task runs to a handler."""
    from prefect.logging.configuration import setup_logging  # noqa: PLC0415

    setup_logging()  # the first call removes every handler
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addHandler(handler)


def refuse_unwritable_prefect_home() -> None:
    """Raise `InputError` if Prefect could not write its own records: it would retry for minutes."""
    folder = _prefect_home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_RECORDS))
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"PREFECT_HOME: {folder}: {reason}; expected a folder that can be written") from None


def server_address() -> str | None:
    """Return the address of Prefect's server from its settings; Prefect is imported only if a file may name one."""
    if "PREFECT_API_URL" in os.environ:
        return os.environ["PREFECT_API_URL"].strip() or None
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or _prefect_home() / "profiles.toml")
    if "prefect" not in sys.modules and not any(map(_may_name_server, (profiles, *map(Path, _SETTINGS)))):
        return None
    from prefect.settings import get_current_settings  # noqa: PLC0415

    return get_current_settings().api.url


def refuse_silent_server() -> None:
    """Raise `InputError` if Prefect's settings name a server that does not answer: Prefect would retry for minutes."""
    url = server_address()
    if url is None:
        return
    answers: Queue[str | None] = Queue()
    # in a thread, since looking up a name can take longer
    threading.Thread(target=_probe_server, args=(url, answers), daemon=True).start()
    try:
        failure = answers.get(timeout=_ANSWER_S)
    except Empty:
        failure = f"no answer within {_ANSWER_S} s"
    if failure is not None:
        raise InputError(f"PREFECT_API_URL: {url}: {failure}; expected a Prefect server that answers")


def refuse_strange_server() -> None:
    """Raise `InputError` if what answers is not a Prefect server, or refuses our credentials."""
    import httpx  # noqa: PLC0415
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    if (url := server_address()) is None:
        return
    try:
        with get_client(sync_client=True) as client:
            client.api_version()
    except httpx.HTTPStatusError as error:
        code, reason = error.response.status_code, error.response.reason_phrase
        expected = "PREFECT_API_AUTH_STRING as on the server" if code == _UNAUTHORIZED else "a Prefect server"
        raise InputError(f"PREFECT_API_URL: {url}: {code} {reason}; expected {expected}") from None
    except (httpx.HTTPError, ValueError) as error:
        raise InputError(f"PREFECT_API_URL: {url}: {one_line(error)}; expected a Prefect server") from None


def _probe_server(url: str, answers: "Queue[str | None]") -> None:
    """Send a server any request, without credentials; put into `answers` why it did not answer, or None."""
    unverified = ssl.create_default_context()  # Prefect's own settings say what to trust
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=_ANSWER_S, context=unverified).close()
    except urllib.error.HTTPError as error:
        error.close()
        answers.put(None)
    except urllib.error.URLError as error:
        answers.put(one_line(error.reason))
    except (OSError, ValueError, HTTPException) as error:
        answers.put(one_line(error) or type(error).__name__)
    else:
        answers.put(None)


@contextmanager
def apply_defaults() -> Iterator[None]:
    """Apply our defaults to the settings that the user did not set."""
    from prefect.settings import temporary_settings  # noqa: PLC0415

    with temporary_settings(set_defaults=DEFAULTS):
        yield


@contextmanager
def use_server(server: EmbeddedServer | None) -> Iterator[None]:
    """Wait for the embedded server and make Prefect use it; without one, Prefect's settings name the server."""
    from prefect.settings import get_current_settings, temporary_settings  # noqa: PLC0415

    if server is None:
        yield
        return
    server.wait(get_current_settings().server.ephemeral.startup_timeout_seconds)
    with temporary_settings(updates={"api.url": server.api_url}):
        yield


def _prefect_home() -> Path:
    return Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()


def _may_name_server(file: Path) -> bool:
    with suppress(OSError):
        return re.search(r"(?i)\bapi\b|api_url", file.read_text("utf-8", "replace")) is not None
    return False
