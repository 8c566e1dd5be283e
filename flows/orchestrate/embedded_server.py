"""A Prefect server that lives as long as one command, however that ends.

A server that Prefect starts by itself outlives a killed command, keeps no schedules, and costs one to three more
seconds of CPU time.
"""

import atexit
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from warehouse.errors import InputError, RunError

_HOST = "127.0.0.1"
PORT = 4200  # of Prefect's UI
_POLL_S = 0.05
_STOP_S = 5


class EmbeddedServer:
    """A server on this machine; its process ends with this one.

    Parameters
    ----------
    environment
        Prefect's settings, as environment variables.
    schedules_port
        Port of a server that starts scheduled runs and shows its pages; 0 picks a free one. None: a server that does
        neither.

    Raises
    ------
    InputError
        The port is taken.
    """

    def __init__(self, environment: Mapping[str, str], schedules_port: int | None = None) -> None:
        self._port = _free_port(schedules_port or 0)
        script = Path(__file__).with_name("server_process.py")
        role = "ephemeral" if schedules_port is None else "scheduling"
        command = [sys.executable, "-P", str(script), _HOST, str(self._port), role]  # -P: do not import from our folder
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **environment})

    @property
    def api_url(self) -> str:
        """The value for `PREFECT_API_URL`."""
        return f"http://{_HOST}:{self._port}/api"

    def wait(self, timeout_s: float) -> None:
        """Wait until the server answers.

        Raises
        ------
        RunError
            The server ended, or did not answer in time.
        """
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.monotonic() + timeout_s
        while self._process.poll() is None and time.monotonic() < end:
            try:
                with direct.open(f"{self.api_url}/health", timeout=timeout_s):
                    return
            except OSError:
                time.sleep(_POLL_S)
        code = self._process.poll()
        what = f"did not answer within {timeout_s:.0f} s" if code is None else f"ended with code {code}"
        raise RunError(f"Prefect's server {what}; `rooflines run --debug` shows why")

    def stop(self) -> None:
        """Stop the server."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


@cache
def start_server(schedules_port: int | None = None) -> EmbeddedServer | None:
    """Start a server that ends with this process, unless Prefect's settings name a server.

    Raises
    ------
    InputError
        Its port is taken.
    """
    from prefect.settings import get_current_settings  # noqa: PLC0415

    settings = get_current_settings()
    if settings.api.url or not settings.server.ephemeral.enabled:
        return None
    server = EmbeddedServer(settings.to_environment_variables(exclude_unset=True), schedules_port)
    atexit.register(server.stop)  # not earlier: Prefect still sends logs and events
    return server


def _free_port(wanted: int) -> int:
    """Return a free port; the port of a server that has just ended counts as free."""
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind((_HOST, wanted))
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"--port: {wanted}: {reason}; expected a free port, or 0 for any") from None
        port: int = free.getsockname()[1]
        return port
