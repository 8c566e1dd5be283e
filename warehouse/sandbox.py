"""What a statement of a user's may do: read the snapshot, for so long and in so much memory."""

import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from warehouse.errors import InputError

MEMORY_LIMIT = "2GB"
LONGEST_STATEMENT = 100_000  # characters
MOST_COLUMNS = 1_000

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT])(i?)B")
_EVERY_S = 0.05  # between two looks at time and memory
_GRACE_S = 2.0  # for a statement to end after it was told to
_BESIDE = 512 * 2**20  # bytes that a process takes beside what DuckDB counts

_READS = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
_OF_THE_PARSER = {duckdb.StatementType.CREATE, duckdb.StatementType.TRANSACTION}  # parts of a PIVOT
_NEVER_EXPLAINED = {"call", "checkpoint", "copy", "export", "import", "pragma"}  # EXPLAIN ANALYZE would do it
# functions that change what the process does, take a statement as a text or an address of memory, or tell of keys; that
# a log is to be a file that cannot be written would end the process
_REFUSED = {
    "arrow_scan", "arrow_scan_dumb", "checkpoint", "disable_logging", "disable_profiling", "duckdb_secrets",
    "enable_logging", "enable_profiling", "force_checkpoint", "json_execute_serialized_sql", "pandas_scan",
    "python_map_function", "query", "truncate_duckdb_logs", "which_secret", "write_log",
}  # fmt: skip
_NAME = re.compile(rb'"((?:[^"]|"")*)"|\w+')


def bytes_of(amount: str) -> float:
    """Return the bytes of an amount of memory, as 500MB or 2 GiB, or raise `InputError`."""
    found = _AMOUNT.fullmatch(amount)
    if found is None:
        raise InputError(f"--memory: {amount}; expected an amount as 500MB or 4GB")
    number, prefix, is_binary = found.groups()
    return float(number) * float((1024 if is_binary else 1000) ** ("KMGT".index(prefix) + 1))


def ask(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation | None:
    """Run a user's statement, which must read and do nothing else.

    Raises
    ------
    duckdb.Error
        The statement cannot be run, or does more than read.
    """
    if len(sql) > LONGEST_STATEMENT:
        raise duckdb.PermissionException(f"{len(sql)} characters; expected at most {LONGEST_STATEMENT}")
    if not sql.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in sql):
        raise duckdb.InvalidInputException("the statement is no text; expected UTF-8")
    names = _names(sql)
    for statement in connection.extract_statements(sql):
        is_own = statement.type in _OF_THE_PARSER and not statement.query.strip()
        is_writing = statement.type == duckdb.StatementType.EXPLAIN and names & _NEVER_EXPLAINED
        if is_writing or not (is_own or statement.type in _READS):
            raise duckdb.PermissionException("the statement does more than read; expected one that reads")
    for name in sorted(names & _REFUSED):
        raise duckdb.PermissionException(f"the function {name} does more than read; expected others")
    relation = connection.sql(sql)
    if relation is not None and len(relation.columns) > MOST_COLUMNS:
        raise duckdb.InvalidInputException(f"{len(relation.columns)} columns; expected at most {MOST_COLUMNS}")
    return relation


def _names(sql: str) -> set[str]:
    """Return the keywords and names of a statement, in small letters and without quotes."""
    text = sql.encode()
    wanted = {duckdb.token_type.identifier, duckdb.token_type.keyword}
    found = (_NAME.match(text, place) for place, kind in duckdb.tokenize(sql) if kind in wanted)
    return {(match[1] or match[0]).decode().replace('""', '"').lower() for match in found if match}


@contextmanager
def limited(
    connection: duckdb.DuckDBPyConnection, seconds: float, memory: str = MEMORY_LIMIT, *, source: str, more: str = ""
) -> Iterator[None]:
    """Stop what a connection does after so many seconds, or where the process takes much more memory.

    DuckDB counts most of its memory itself, and looks now and then whether it is to stop. Where it does neither, as
    within one call of a function, the process ends: with exit code 2 and the line that would have been raised.

    Parameters
    ----------
    connection
        What the statement runs on.
    seconds
        How long it may take.
    memory
        How much it may take, as DuckDB was told.
    source
        Where the statement comes from: what messages begin with.
    more
        What allows more time and what more memory, as "--timeout --memory"; nothing does by default.

    Raises
    ------
    InputError
        It took longer, or more memory.
    """
    watch = _Watch(connection, seconds, bytes_of(memory), source, more)
    watch.start()
    try:
        yield
    except Exception as error:
        if watch.reason is None and isinstance(error, duckdb.OutOfMemoryException):
            raise InputError(watch.too_large) from None
        if watch.reason is not None:
            raise InputError(watch.reason) from None
        raise
    finally:
        watch.stop()


class _Watch(threading.Thread):
    """Tells a connection to stop where it takes too much time or memory, and ends the process where it does not."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, seconds: float, memory: float, source: str, more: str
    ) -> None:
        super().__init__(daemon=True)
        longer, larger = (f"{option} allows more" for option in more.split()) if more else ("expected less",) * 2
        self.too_long = f"{source}: it took longer than {seconds:g} s; {longer}"
        self.too_large = f"{source}: it takes more memory than it may; {larger}"
        self.reason: str | None = None
        self._connection, self._seconds = connection, seconds
        self._memory, self._before = memory, _resident_bytes()
        self._done = threading.Event()

    def run(self) -> None:
        """Look at time and memory until the statement is done."""
        started, told = time.monotonic(), 0.0
        while not self._done.wait(_EVERY_S):
            now, taken = time.monotonic(), _resident_bytes() - self._before
            if self.reason is None and (now - started > self._seconds or taken > self._memory + _BESIDE):
                self.reason, told = self.too_long if now - started > self._seconds else self.too_large, now
            if self.reason is not None:
                self._connection.interrupt()
                if now - told > _GRACE_S or taken > 1.5 * self._memory + 2 * _BESIDE:
                    self._end()

    def stop(self) -> None:
        """Watch no more."""
        self._done.set()
        self.join()

    def _end(self) -> None:
        if not self._done.is_set():
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"rooflines: {self.reason}\n".encode())
            os._exit(2)


def _resident_bytes() -> float:
    """Return the memory that the process takes; 0 where the system does not say."""
    try:
        return float(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0.0
