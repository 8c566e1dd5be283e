"""Prefect settings that the project needs wherever it is called from.

`[tool.prefect]` in pyproject.toml says the same to Prefect's own commands in a checkout.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

DEFAULTS = {
    "server.analytics_enabled": False,
    "server.ephemeral.startup_timeout_seconds": 120,
}


def quiet_terminal() -> None:
    """Keep Prefect's log off the terminal; call it before the first import of Prefect."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


@contextmanager
def prefect_defaults() -> Iterator[None]:
    """Apply the settings that the user did not set."""
    from prefect.settings import temporary_settings  # noqa: PLC0415

    with temporary_settings(set_defaults=DEFAULTS):
        yield
