"""The process of Prefect's embedded server: it ends when its standard input does."""

import os
import signal
import sys
import threading
import time
from socket import socket

import uvicorn
from filelock import FileLock

_FAILED = 3
_STOP_S = 5  # it may wait for clients


class LockedServer(uvicorn.Server):
    """A server that starts under a lock: two that start at once would both create the tables of a new database."""

    def __init__(self, config: uvicorn.Config, lock: FileLock) -> None:
        super().__init__(config)
        self._lock = lock

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start once no other server is starting."""
        with self._lock:
            await super().startup(sockets)


def _exit_when_stdin_closes() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_S)
    os._exit(_FAILED)


def _serve(host: str, port: int, *, ephemeral: bool) -> None:
    from prefect.server.api.server import create_app  # noqa: PLC0415
    from prefect.settings import get_current_settings  # noqa: PLC0415

    threading.Thread(target=_exit_when_stdin_closes, daemon=True).start()
    app = create_app(ephemeral=ephemeral, final=True)
    lock = FileLock(get_current_settings().home / "server.lock")
    server = LockedServer(uvicorn.Config(app, host=host, port=port, log_level="error", lifespan="on"), lock)
    server.run()
    if not server.started:
        sys.exit(_FAILED)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), ephemeral=sys.argv[3] == "ephemeral")
