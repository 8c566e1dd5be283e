"""What runs on schedules: the flows of flows/orchestrate/prefect.yaml, and the two-line start without it."""

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
from flows.orchestrate.alerts import Trouble, tell, tell_of_failed_run
from flows.orchestrate.missed_runs import skip_missed_runs
from flows.orchestrate.refresh import refresh
from flows.orchestrate.served import SERVED_BY, end_with_server
from warehouse.errors import InputError, RunError
from warehouse.home import Home

_WORKING_FOLDER = ".serve"  # of the home, which may hold a folder that is named as a package is


@flow(name="ingest-incoming", on_failure=[tell_of_failed_run], on_crashed=[tell_of_failed_run])
def ingest_incoming(
    home: Path | None = None, catalog: Path | None = None, publish_to: Path | None = None, then_refresh: bool = True
) -> list[Arrival]:
    """Put the files of HOME/incoming into the catalog; bad ones go to incoming/rejected with the reason.

    Parameters
    ----------
    home
        Folder of the warehouse; by default `$ROOFLINES_HOME`.
    catalog, publish_to
        As of the flow `refresh`, which follows where files were taken in.
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
            _tell_of_rejected_file(place, arrival)
    if arrivals:
        rows = [{"file": a.name, "kind": a.kind, "entries": ", ".join(a.entries), "reason": a.reason} for a in arrivals]
        create_table_artifact(rows, key="incoming", description="Files that came in, and what became of them")
    if then_refresh and any(arrival.entries for arrival in arrivals):
        refresh(home=place.path, catalog=catalog, publish_to=publish_to)
    return arrivals


def _tell_of_rejected_file(home: Home, arrival: Arrival) -> None:
    told = {"home": str(home.path), "file": arrival.name, "reason": arrival.reason or ""}
    emit_event("rooflines.rejected", {"prefect.resource.id": "rooflines.incoming"}, payload=told)
    run = {"flow": "ingest-incoming", "run": runtime.flow_run.name, "flow_run_id": runtime.flow_run.id}
    tell(Trouble(event="file-rejected", **told, **run))


def refuse_bad_schedule(cron: str, timezone: str) -> None:
    """Raise `InputError` where these are no times that a run can start at."""
    for option, value, valid in (("--cron", cron, {"cron": cron}), ("--timezone", timezone, {"timezone": timezone})):
        try:
            CronSchedule.model_validate({"cron": "0 0 * * *", **valid})
        except ValidationError:
            expected = "five fields as in crontab" if option == "--cron" else "a name as Europe/Zurich"
            raise InputError(f"{option}: {value}; expected {expected}") from None


def serve_here(
    home: Path, *, cron: str, timezone: str, incoming_every_s: float, publish_to: Path | None = None
) -> None:
    """Keep the schedules running in this process, until it is stopped; one run at a time.

    Runs begin in the folder of the process, and find modules there first. So that becomes one that holds none.

    Parameters
    ----------
    home
        Folder of the warehouse.
    cron, timezone
        When `refresh` runs.
    incoming_every_s
        How often HOME/incoming is looked at.
    publish_to
        Folder that the site is put into where anything changed.
    """
    working_folder = home / _WORKING_FOLDER
    working_folder.mkdir(exist_ok=True)
    os.chdir(working_folder)
    os.environ[SERVED_BY] = str(os.getpid())
    parameters = {"home": str(home), "publish_to": publish_to and str(publish_to)}
    nightly = _deployment(refresh, Cron(cron, timezone=timezone), parameters)
    incoming = _deployment(ingest_incoming, Interval(incoming_every_s), parameters)
    serve(nightly, incoming, limit=1, print_starting_message=False)


def _deployment(scheduled: Any, schedule: Any, parameters: dict[str, Any]) -> RunnerDeployment:
    deployment: RunnerDeployment = scheduled.to_deployment(
        "here",
        schedule=schedule,
        parameters=parameters,
        tags=["rooflines"],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return deployment
