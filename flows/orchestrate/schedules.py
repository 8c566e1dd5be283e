"""What runs on schedules: the flow `ingest_incoming`, and `serve_here`, which needs no prefect.yaml."""

import os
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, runtime, serve
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.events import emit_event
from prefect.schedules import Cron, Interval
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from flows.ingest.incoming import Arrival, accept_incoming
from flows.orchestrate.alerts import Alert, alert_failed_run, send_alert
from flows.orchestrate.missed_runs import skip_missed_runs
from flows.orchestrate.refresh import refresh
from flows.orchestrate.served_runs import SERVED_BY, end_with_server
from warehouse.errors import InputError, RunError
from warehouse.home import Home

_WORKING_FOLDER = ".serve"  # in the home, which itself may hold a folder named like a package


@flow(name="ingest-incoming", on_failure=[alert_failed_run], on_crashed=[alert_failed_run])
def ingest_incoming(
    home: Path | None = None, catalog: Path | None = None, publish_to: Path | None = None, then_refresh: bool = True
) -> list[Arrival]:
    """Add the files of HOME/incoming to the catalog; bad ones go to incoming/rejected with the reason.

    Parameters
    ----------
    home
        Data directory. Default: `$ROOFLINES_HOME`.
    catalog, publish_to
        For the flow `refresh`, which follows if files were added.
    then_refresh
        Whether it follows.
    """
    end_with_server()
    skip_missed_runs()
    log, place = get_run_logger(), Home.at(home)
    try:
        arrivals = accept_incoming(place, log.info)
    except RunError as error:
        log.info("%s: the files wait", error)
        return []
    for arrival in arrivals:
        log.info("%s: %s", arrival.name, arrival.reason or f"{arrival.kind} {', '.join(arrival.entries)}")
        if arrival.reason:
            _alert_rejected_file(place, arrival)
    if arrivals:
        rows = [{"file": a.name, "kind": a.kind, "entries": ", ".join(a.entries), "reason": a.reason} for a in arrivals]
        create_table_artifact(rows, key="incoming", description="Incoming files, and what became of them")
    if then_refresh and any(arrival.entries for arrival in arrivals):
        refresh(home=place.path, catalog=catalog, publish_to=publish_to)
    return arrivals


def _alert_rejected_file(home: Home, arrival: Arrival) -> None:
    payload = {"home": str(home.path), "file": arrival.name, "reason": arrival.reason or ""}
    emit_event("rooflines.rejected", {"prefect.resource.id": "rooflines.incoming"}, payload=payload)
    run = {"flow": "ingest-incoming", "run": runtime.flow_run.name, "flow_run_id": runtime.flow_run.id}
    send_alert(Alert(event="file-rejected", **payload, **run))


def refuse_bad_schedule(cron: str, timezone: str) -> None:
    """Raise `InputError` if a schedule or a time zone is not valid."""
    for option, value, valid in (("--cron", cron, {"cron": cron}), ("--timezone", timezone, {"timezone": timezone})):
        try:
            CronSchedule.model_validate({"cron": "0 0 * * *", **valid})
        except ValidationError:
            expected = "five fields as in crontab" if option == "--cron" else "a name such as Europe/Zurich"
            raise InputError(f"{option}: {value}; expected {expected}") from None


def serve_here(
    home: Path, *, cron: str, timezone: str, incoming_every_s: float, publish_to: Path | None = None
) -> None:
    """Keep the schedules running in this process, until it is stopped; one run at a time.

    Runs start in the working folder of the process and would import modules from it, so an empty folder becomes the
    working folder.

    Parameters
    ----------
    home
        Data directory.
    cron, timezone
        When `refresh` runs.
    incoming_every_s
        Seconds between two looks at HOME/incoming.
    publish_to
        Folder to copy the site to if it changed.
    """
    working_folder = home / _WORKING_FOLDER
    working_folder.mkdir(exist_ok=True)
    os.chdir(working_folder)
    os.environ[SERVED_BY] = str(os.getpid())
    parameters = {"home": str(home), "publish_to": publish_to and str(publish_to)}
    nightly = _make_deployment(refresh, Cron(cron, timezone=timezone), parameters)
    incoming = _make_deployment(ingest_incoming, Interval(incoming_every_s), parameters)
    serve(nightly, incoming, limit=1, print_starting_message=False)


def _make_deployment(scheduled: Any, schedule: Any, parameters: dict[str, Any]) -> RunnerDeployment:
    deployment: RunnerDeployment = scheduled.to_deployment(
        "here",
        schedule=schedule,
        parameters=parameters,
        tags=["rooflines"],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return deployment
