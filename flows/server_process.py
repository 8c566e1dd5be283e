"""The process of Prefect's embedded server: it ends when its standard input does."""

import os
import signal
import sys
import threading


def _end_with_the_command() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _serve(host: str, port: int, *, ephemeral: bool) -> None:
    import uvicorn  # noqa: PLC0415
    from prefect.server.api.server import create_app  # noqa: PLC0415

    threading.Thread(target=_end_with_the_command, daemon=True).start()
    uvicorn.run(create_app(ephemeral=ephemeral, final=True), host=host, port=port, log_level="error", lifespan="on")


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), ephemeral=sys.argv[3] == "ephemeral")
