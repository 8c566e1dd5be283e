"""How the lake is reached: attached to a connection, changed in one transaction, its passwords hidden."""

import os
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb

from warehouse.connection import WRITING, transaction
from warehouse.engine.extensions import explain_missing_extension, load_extension
from warehouse.errors import InputError, RunError, one_line
from warehouse.files.bucket import enable_buckets, is_bucket
from warehouse.home import Home
from warehouse.sql_values import quote_value

T = TypeVar("T")

_TRIES = 20
_LONGEST_WAIT_S = 2.0
_CONNECT_TIMEOUT_S = "10"

_PASSWORD = re.compile(r"(?i)password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)|(?<=://)[^:/@\s]*:([^@\s]*)@")
_REASON = re.compile(r"connection to server.*|could not translate.*", re.DOTALL)
# how DuckLake and PostgreSQL say that two writers change one thing, or create one lake
_CONFLICT = re.compile("conflict|serialize|already exists|duplicate key|concurrently|deadlock", re.IGNORECASE)


def change_lake(
    address: str,
    change: Callable[[duckdb.DuckDBPyConnection], T],
    data: str | None = None,
    home: Home | None = None,
    prepare: Callable[[duckdb.DuckDBPyConnection], None] = lambda _: None,
) -> T:
    """Change the lake in one transaction, and try again if another writer's came between.

    Setup that every writer performs (`prepare`) runs in a transaction of its own, because that is where writers
    conflict.
    """
    options = [f"data_path {quote_value(_absolute_data_path(data))}"] if data else ["create_if_not_exists false"]
    for attempt in range(1, _TRIES + 1):
        try:
            with open_lake(address, options, data or "") as connection:
                if home is not None:
                    connection.execute(f"attach {quote_value(home.snapshot)} as home (read_only)")
                with transaction(connection):
                    prepare(connection)
                with transaction(connection):
                    return change(connection)
        except duckdb.Error as error:
            if attempt == _TRIES or not _CONFLICT.search(str(error)):
                raise RunError(f"lake: it broke off and changed nothing: {_hide_passwords(error, address)}") from None
        time.sleep(random.uniform(0.1, min(_LONGEST_WAIT_S, 0.2 * attempt)))
    raise AssertionError


@contextmanager
def open_lake(address: str, options: Sequence[str], data: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection that uses the lake."""
    with duckdb.connect(config=WRITING) as connection:
        connection.execute("set TimeZone = 'UTC'")
        attach_lake(connection, address, options, data)
        connection.execute("use lake")
        yield connection


def attach_lake(connection: duckdb.DuckDBPyConnection, address: str, options: Sequence[str], data: str = "") -> None:
    """Attach the lake as `lake`, with the extensions that it needs.

    Raises
    ------
    InputError
        An extension is not installed, or the lake cannot be reached or does not exist.
    """
    for name in ("ducklake", "postgres_scanner"):
        load_extension(connection, name, "lake")
    # only the lake itself knows whether its data are in a bucket
    if is_bucket(data) or explain_missing_extension("httpfs", "s3") is None:
        enable_buckets(connection)
    os.environ.setdefault("PGCONNECT_TIMEOUT", _CONNECT_TIMEOUT_S)
    try:
        connection.execute(f"attach {quote_value(f'ducklake:{address}')} as lake ({', '.join(options)})")
    except duckdb.Error as error:
        if _CONFLICT.search(str(error)):  # with another writer that creates the lake
            raise
        raise InputError(
            f"lake: {_hide_passwords(address, address)}: {_explain_attach_error(error, address)}"
        ) from None


@contextmanager
def explain_read_errors(address: str) -> Iterator[None]:
    """Turn errors of reading the lake into a `RunError` of one line, without passwords."""
    try:
        yield
    except duckdb.Error as error:
        raise RunError(f"lake: it broke off: {_hide_passwords(error, address)}") from None


def _explain_attach_error(error: duckdb.Error, address: str) -> str:
    said = str(error)
    if "creating a new DuckLake is explicitly disabled" in said or "read-only" in said:
        return "no lake there; `rooflines lake push --data FOLDER` makes one"
    if "httpfs" in said and (missing := explain_missing_extension("httpfs", "s3")):
        return missing
    reason = _REASON.search(said)
    return _hide_passwords(reason[0] if reason else error, address)


def _absolute_data_path(data: str) -> str:
    return data if "://" in data else str(Path(data).expanduser().absolute())


def _hide_passwords(message: object, address: str) -> str:
    """Return a message in one line, without the passwords of an address."""
    text = one_line(message)
    for found in _PASSWORD.finditer(address):
        secret = found[1] or found[2]
        text = text.replace(secret, "…").replace(secret.strip("'"), "…")
    return text
