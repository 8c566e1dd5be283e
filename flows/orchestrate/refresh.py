"""The flows `refresh` and `publish`: Prefect's side of the main job; flows/run.py has its order."""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from flows import run as steps
from flows.core_tables import stage_inputs, stage_tables
from flows.ingest.catalog import list_sources
from flows.ingest.kinds import CATALOG_KINDS
from flows.orchestrate.alerts import alert_failed_run
from flows.orchestrate.missed_runs import skip_missed_runs
from flows.orchestrate.served_runs import end_with_server
from flows.run import Summary
from flows.site.build import SiteReport
from flows.site.publish import publish_site
from warehouse.checks import Rule
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.snapshot import KEPT_SNAPSHOTS


def _is_disk_trouble(_task: object, _run: object, state: Any) -> bool:
    return isinstance(state.result(raise_on_failure=False), OSError | duckdb.IOException)


_task: Callable[..., Any] = partial(task, cache_policy=NO_CACHE)
_disk_task: Callable[..., Any] = partial(_task, retries=2, retry_delay_seconds=1, retry_condition_fn=_is_disk_trouble)


@_task
def check(home: Home, altered: Collection[str] | None = None) -> list[Rule]:
    """Check the tables against the rules of sql/checks, and show the result in Prefect's UI."""
    rules = steps.check(home, altered)
    rows = [{"rule": r.name, "offending rows": r.offending_rows, "example": r.example} for r in rules]
    create_table_artifact(rows, key="checks", description="Rules, and the rows that break them")
    return rules


@flow(name="publish", on_failure=[alert_failed_run], on_crashed=[alert_failed_run])
def publish(out: Path | None = None, home: Path | None = None) -> SiteReport:
    """Publish the site of the published snapshot to a folder.

    Parameters
    ----------
    out
        The folder: the site replaces an earlier one there, and other files stay. Default: `public` in the home.
    home
        Data directory. Default: `$ROOFLINES_HOME`.

    Raises
    ------
    InputError
        There is no snapshot, or the folder cannot be written or holds other files of the same names.
    """
    end_with_server()
    place = Home.at(home)
    site = (out or place.path / "public").absolute()
    report = publish_site(place, site, get_run_logger().info)
    create_link_artifact(f"{site.as_uri()}/index.html", link_text="Rooflines", key="published")
    return report


# how Prefect calls each step of a run
_TASKS: dict[Callable[..., Any], Callable[..., Any]] = {
    stage_inputs: _task(stage_inputs, name="ingest"),
    stage_tables: _task(stage_tables, name="compute"),
    steps.load: _disk_task(steps.load, name="load"),
    steps.check: check,
    steps.write_snapshot: _disk_task(steps.write_snapshot, name="write_snapshot"),
    steps.draw_site: _disk_task(steps.draw_site, name="draw_site"),
    steps.promote: _task(steps.promote, name="promote"),
    publish_site: lambda home, out: publish(out=out, home=home.path),
}


def _name_run() -> str:
    home, catalog = (given and Path(given) for given in map(runtime.flow_run.parameters.get, ("home", "catalog")))
    try:
        sources = list_sources(Home.at(home), catalog)
    except InputError:
        return "refresh"
    counts = {kind: sum(source.kind == kind for source in sources) for kind in CATALOG_KINDS}
    return f"refresh {counts['hardware']} devices, {counts['model']} models, {counts['workload']} workloads"


@flow(name="refresh", flow_run_name=_name_run, on_failure=[alert_failed_run], on_crashed=[alert_failed_run])
def refresh(
    home: Path | None = None, catalog: Path | None = None, publish_to: Path | None = None, keep: int = KEPT_SNAPSHOTS
) -> Summary:
    """Bring the warehouse and the site up to date with the catalog.

    Parameters
    ----------
    home
        Data directory. Default: `$ROOFLINES_HOME`.
    catalog
        Folder of input files that are added to the shipped ones and the home's, or replace them.
    publish_to
        Folder that the flow `publish` fills if the run changed something, or if an earlier run could not fill it.
    keep
        How many of the last snapshots to keep, for `rooflines query --as-of`.

    Raises
    ------
    InputError
        An input file cannot be used, or the site cannot be placed. The published snapshot stays as it was.
    RunError
        Another run is writing, or a rule does not hold. The published snapshot stays as it was.
    """
    end_with_server()
    skip_missed_runs()
    place = Home.at(home)

    def report(summary: Summary) -> None:
        create_markdown_artifact(summary.markdown(place), key="refresh", description="What the run did")
        create_link_artifact(f"{place.site.as_uri()}/index.html", link_text="Rooflines", key="site")
        if summary.status == "succeeded":
            payload = {"run_id": summary.run_id, "home": str(place.path)}
            emit_event("rooflines.published", {"prefect.resource.id": "rooflines.snapshot"}, payload=payload)

    return steps.run(
        place,
        list_sources(place, catalog),
        publish_to=publish_to,
        keep=keep,
        flow_run_id=runtime.flow_run.id,
        perform=lambda step, *arguments: _TASKS[step](*arguments),
        progress=get_run_logger().info,
        report=report,
    )
