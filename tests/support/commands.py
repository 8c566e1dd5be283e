"""The command, called in this process."""

from flows.cli.app import run_command
from warehouse.home import Home


def ingest(home: Home, *arguments: str) -> int:
    return run_command(["ingest", *arguments, "--home", str(home.path)])
