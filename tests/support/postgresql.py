"""A PostgreSQL server for the tests that need one."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

WITHOUT_POSTGRESQL = "no PostgreSQL (on Debian: apt-get install postgresql)"


@dataclass(frozen=True)
class Server:
    """A server on the loopback interface that trusts anyone who gives its user's name."""

    port: int
    folder: Path
    programs: Path
    user: str = "owner"

    def execute(self, sql: str) -> None:
        """Run a statement in the database postgres."""
        program = str(self.programs / "psql")
        command = [program, "-h", "127.0.0.1", "-p", str(self.port), "-U", self.user, "-q", "-c", sql, "postgres"]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)


def find_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def find_postgresql() -> Path | None:
    """Return the folder of PostgreSQL's programs; None if it is not installed and need not be."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found or os.environ.get("ROOFLINES_POSTGRESQL") != "required", WITHOUT_POSTGRESQL
    return found[-1].parent if found else None


@contextmanager
def start_postgresql() -> Iterator[Server]:
    """Start a server, or skip the test if PostgreSQL is not installed."""
    programs = find_postgresql()
    if programs is None:
        pytest.skip(WITHOUT_POSTGRESQL)
    # as its own user, which its server insists on
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(subprocess.check_output([*as_user, "mktemp", "-d"], text=True).strip())
    server = Server(find_free_port(), folder, programs)
    run = [*as_user, str(server.programs / "pg_ctl"), "-D", str(folder / "data"), "-s", "-w"]
    options = f"-p {server.port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    subprocess.run([*run, "init", "-o", f"-A trust -U {server.user}"], check=True, cwd="/")
    subprocess.run([*run, "start", "-l", str(folder / "log"), "-o", options], check=True, cwd="/")
    try:
        yield server
    finally:
        subprocess.run([*run, "stop", "-m", "immediate"], check=True, cwd="/")
        subprocess.run([*as_user, "rm", "-r", str(folder)], check=True, cwd="/")
