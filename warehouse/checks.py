"""The rules of sql/checks."""

from dataclasses import dataclass

import duckdb

from warehouse.rows import fetch_row, fetch_value
from warehouse.sql_files import load_all_sql


@dataclass(frozen=True)
class Rule:
    """The result of one file of sql/checks: how many rows violate the rule, and one of them."""

    name: str
    grain: str
    offending_rows: int
    example: str


def run_checks(connection: duckdb.DuckDBPyConnection) -> list[Rule]:
    """Run every rule; a rule holds if its query returns no row."""
    rules = []
    for name, sql in load_all_sql("checks").items():
        count = int(fetch_value(connection, f"select count(*) from (\n{sql}\n)"))
        example = _describe_first_row(connection, sql) if count else ""
        rules.append(Rule(name, sql.splitlines()[0].removeprefix("-- "), count, example))
    return rules


def _describe_first_row(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    first = fetch_row(connection, f"from (\n{sql}\n) limit 1") or ()
    return ", ".join(f"{column} {value}" for column, value in zip(connection.sql(sql).columns, first, strict=False))
