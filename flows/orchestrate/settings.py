"""Prefect settings that the project needs wherever it is called from.

`[tool.prefect]` in pyproject.toml says the same to Prefect's own commands in a checkout.
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


# files beside the working folder's that may hold settings of Prefect
_SETTINGS = ("prefect.toml", "pyproject.toml", ".env")
_ANSWER_S = 4
_UNAUTHORIZED = 401
_RECORDS = 1_000_000  # bytes that Prefect's records of a first run take


def quiet_terminal() -> None:
    """Keep Prefect's log off the terminal; call it before the first import of Prefect."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


def opt_out_of_telemetry() -> None:
    """Keep Prefect's client from reporting its use, and from saying so; call it before the first import of Prefect."""
    os.environ.setdefault("DO_NOT_TRACK", "1")


def keep_prefect_home() -> None:
    """Name Prefect's home for processes that work in another folder too; call it before the first import of Prefect."""
    if os.environ.get("PREFECT_HOME"):
        os.environ["PREFECT_HOME"] = str(_prefect_home().absolute())


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


def server_address() -> str | None:
    """Return where Prefect's settings say that its server is; Prefect is loaded only if a file of settings may say."""
    if "PREFECT_API_URL" in os.environ:
        return os.environ["PREFECT_API_URL"].strip() or None
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or _prefect_home() / "profiles.toml")
    if "prefect" not in sys.modules and not any(map(_may_name_a_server, (profiles, *map(Path, _SETTINGS)))):
        return None
    from prefect.settings import get_current_settings  # noqa: PLC0415

    return get_current_settings().api.url


def refuse_silent_server() -> None:
    """Raise `InputError` if Prefect's settings name a server that does not answer: it would be called for minutes."""
    url = server_address()
    if url is None:
        return
    answers: Queue[str | None] = Queue()
    # a thread, since to look up a name can take longer
    threading.Thread(target=_ask, args=(url, answers), daemon=True).start()
    try:
        failure = answers.get(timeout=_ANSWER_S)
    except Empty:
        failure = f"no answer within {_ANSWER_S} s"
    if failure is not None:
        raise InputError(f"PREFECT_API_URL: {url}: {failure}; expected a Prefect server that answers")


def refuse_strange_server() -> None:
    """Raise `InputError` if what answers is no server of Prefect, or one that wants to know who calls."""
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


def _ask(url: str, answers: "Queue[str | None]") -> None:
    """Ask a server for anything, without credentials, and tell why it did not answer."""
    unverified = ssl.create_default_context()  # Prefect's own settings say whom to trust
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
        return re.search(r"(?i)\bapi\b|api_url", file.read_text("utf-8", "replace")) is not None
    return False
