"""The rules of sql/checks."""

from dataclasses import dataclass

import duckdb

from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.rows import fetch_row, fetch_value
from warehouse.snapshot import open_snapshot, read_published_run
from warehouse.sql_files import load_all_sql, load_sql
from warehouse.sql_values import quote_value
from warehouse.table_digests import TableDigests
from warehouse.version import code_version

_OF_EACH_DEVICE = {"point_above_roof"}  # rules whose rows of a device follow from the rows of this device


@dataclass(frozen=True)
class Rule:
    """The result of one file of sql/checks: how many rows violate the rule, and one of them."""

    name: str
    grain: str
    offending_rows: int
    example: str


def run_checks(connection: duckdb.DuckDBPyConnection, since: TableDigests | None = None) -> list[Rule]:
    """Run every rule; a rule holds if its query returns no row.

    Parameters
    ----------
    connection
        The database.
    since
        The tables of an earlier state, in which the rules held: a rule whose tables did not change since holds still,
        and one that looks at each device by itself is asked for the devices that changed.
    """
    rules = []
    now = since and TableDigests(connection)
    for name, sql in load_all_sql("checks").items():
        asked = _narrow(name, sql, now, since) if now and since else sql
        count = int(fetch_value(connection, f"select count(*) from (\n{asked}\n)")) if asked else 0
        example = _describe_first_row(connection, asked) if count else ""
        rules.append(Rule(name, sql.splitlines()[0].removeprefix("-- "), count, example))
    return rules


def read_checked(home: Home) -> TableDigests | None:
    """Return the tables of the published snapshot, in which the rules of this code held; None if no such is known."""
    try:
        with open_snapshot(home.snapshot) as connection:
            made_by = fetch_value(connection, load_sql("load/code_of_run"), [read_published_run(connection)[0]])
            return TableDigests(connection) if made_by == code_version() else None
    except (duckdb.Error, InputError):
        return None


def _narrow(name: str, sql: str, now: TableDigests, since: TableDigests) -> str:
    """Return what is left to ask of a rule that held; empty if it holds still."""
    changed = now.list_changed(now.find_tables(sql), since)
    if changed is None:
        return sql
    if not changed:
        return ""
    devices = ", ".join(map(quote_value, changed))
    return f"select * from (\n{sql}\n) where hardware_id in ({devices})" if name in _OF_EACH_DEVICE else sql


def _describe_first_row(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    first = fetch_row(connection, f"from (\n{sql}\n) limit 1") or ()
    return ", ".join(f"{column} {value}" for column, value in zip(connection.sql(sql).columns, first, strict=False))
