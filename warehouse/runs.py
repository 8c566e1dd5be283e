"""Record runs in core.run, and the charts that they leave out in core.run_left_out."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from warehouse.connection import transaction
from warehouse.rows import fetch_count, fetch_rows


@dataclass(frozen=True)
class Run:
    """What is known about a run when it starts."""

    run_id: str
    started_at: datetime
    code_version: str
    inputs_sha256: str | None
    flow_run_id: str | None


def make_run_id(now: datetime) -> str:
    """Return the id of a run that starts now; ids sort by time."""
    return f"{now:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(2)}"


def start_run(connection: duckdb.DuckDBPyConnection, run: Run, published_run_id: str | None = None) -> None:
    """Record that a run began, and that earlier ones which still count as running were published or interrupted."""
    with transaction(connection):
        published = "update core.run set status = 'succeeded' where status = 'running' and run_id = ?"
        connection.execute(published, [published_run_id])
        connection.execute("update core.run set status = 'failed', error = 'interrupted' where status = 'running'")
        number = fetch_count(connection, "select coalesce(max(run_number), 0) + 1 from core.run")
        columns = "run_id, run_number, started_at, status, code_version, inputs_sha256, flow_run_id"
        values = [run.run_id, number, run.started_at, "running", run.code_version, run.inputs_sha256, run.flow_run_id]
        connection.execute(f"insert into core.run ({columns}) values (?, ?, ?, ?, ?, ?, ?)", values)


def mark_rows_ready(connection: duckdb.DuckDBPyConnection, run_id: str) -> None:
    """Record when a run's rows were ready, whether they get published or not."""
    update = "update core.run set finished_at = greatest(?, started_at) where run_id = ?"
    connection.execute(update, [datetime.now(UTC), run_id])


def finish_run(connection: duckdb.DuckDBPyConnection, run_id: str, status: str, error: str | None = None) -> None:
    """Record how a run ended."""
    update = "update core.run set status = ?, error = ?, finished_at = coalesce(finished_at, greatest(?, started_at))"
    connection.execute(f"{update} where run_id = ?", [status, error, datetime.now(UTC), run_id])


def record_left_out(connection: duckdb.DuckDBPyConnection, run_id: str, charts: Iterable[tuple[str, str, str]]) -> None:
    """Record the charts that a run left out, each as its file, its name and the reason."""
    for place, chart in enumerate(charts, start=1):
        connection.execute("insert into core.run_left_out values (?, ?, ?, ?, ?)", [run_id, place, *chart])


def read_left_out(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str]]:
    """Return the charts that the published run left out, each as its file, its name and the reason."""
    last = "select run_id from core.run where status = 'succeeded' order by run_number desc limit 1"
    charts = f"select file, name, reason from core.run_left_out where run_id = ({last}) order by place"
    return fetch_rows(connection, charts)
