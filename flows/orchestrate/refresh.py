"""The main flow: ingest -> intensity -> load -> check -> snapshot -> publish."""

from pathlib import Path
from typing import Any

import duckdb
from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from flows import steps
from flows.ingest.catalog import list_sources
from flows.ingest.kinds import CATALOG_KINDS
from flows.ingest.source_file import SourceFile
from flows.orchestrate.alerts import tell_of_failed_run
from flows.orchestrate.missed_runs import skip_missed_runs
from flows.orchestrate.served import end_with_server
from flows.site.publish import SiteReport, publish_site
from flows.site.snapshot_charts import summarize_left_out
from flows.steps import Summary
from warehouse.checks import Rule
from warehouse.errors import InputError, refused_together
from warehouse.home import Home
from warehouse.load import Change, Staged
from warehouse.runs import Run
from warehouse.site_placement import Draft, made_from
from warehouse.snapshot import KEPT_SNAPSHOTS


def _is_disk_trouble(_task: object, _run: object, state: Any) -> bool:
    return isinstance(state.result(raise_on_failure=False), OSError | duckdb.IOException)


_on_disk: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "retries": 2,
    "retry_delay_seconds": 1,
    "retry_condition_fn": _is_disk_trouble,
}


@task(cache_policy=NO_CACHE)
def ingest(home: Home, sources: list[SourceFile]) -> dict[str, Staged]:
    """Validate the files of every kind."""
    inputs: dict[str, Staged] = {}
    with refused_together() as each:
        for kind in CATALOG_KINDS:
            with each():
                inputs |= steps.ingest(home, kind, [source for source in sources if source.kind == kind])
    return inputs


@task(cache_policy=NO_CACHE)
def compute(home: Home, inputs: dict[str, Staged], sources: list[SourceFile]) -> dict[str, Staged]:
    """Turn models and workloads into op shapes, and those into FLOP and bytes."""
    return steps.compute(home, inputs, sources)


@task(**_on_disk)
def load(home: Home, run: Run, inputs: dict[str, Staged], sources: list[SourceFile], altered: set[str]) -> list[Change]:
    """Load the tables, in one transaction."""
    return steps.load(home, run, inputs, sources, altered)


@task(cache_policy=NO_CACHE)
def check(home: Home) -> list[Rule]:
    """Hold the rules of sql/checks against the tables."""
    return steps.check(home)


@task(**_on_disk)
def write_snapshot(home: Home, run: Run) -> Path:
    """Copy the tables into the file that readers will open."""
    return steps.write_snapshot(home, run)


@task(**_on_disk)
def draw_site(home: Home, run: Run, candidate: Path) -> tuple[SiteReport, Draft]:
    """Draw the charts whose data changed, and the pages."""
    log = get_run_logger()
    site, draft = steps.draw_site(home, run, candidate, log.info)
    for said in summarize_left_out(site.left_out):
        log.warning("left out %s", said)
    return site, draft


@task(cache_policy=NO_CACHE)
def promote(home: Home, run: Run, candidate: Path, inputs: dict[str, Staged], keep: int, draft: Draft) -> None:
    """Publish snapshot and site."""
    steps.promote(home, run, candidate, inputs, keep, draft)


def _run_name() -> str:
    home, catalog = (given and Path(given) for given in map(runtime.flow_run.parameters.get, ("home", "catalog")))
    try:
        sources = list_sources(Home.at(home), catalog)
    except InputError:
        return "refresh"
    counts = {kind: sum(source.kind == kind for source in sources) for kind in CATALOG_KINDS}
    return f"refresh {counts['hardware']} devices, {counts['model']} models, {counts['workload']} workloads"


@flow(name="publish", on_failure=[tell_of_failed_run], on_crashed=[tell_of_failed_run])
def publish(out: Path | None = None, home: Path | None = None) -> SiteReport:
    """Put the site of the published snapshot into a folder, in the place of an earlier one.

    Parameters
    ----------
    out
        The folder: files of others in it stay; by default `public` in the home.
    home
        Folder of the warehouse; by default `$ROOFLINES_HOME`.

    Raises
    ------
    InputError
        There is no snapshot, or the folder holds files of others where the site has some, or cannot be written.
    """
    end_with_server()
    place = Home.at(home)
    site = (out or place.path / "public").absolute()
    report = publish_site(place, site, get_run_logger().info)
    create_link_artifact(f"{site.as_uri()}/index.html", link_text="Rooflines", key="published")
    return report


@flow(name="refresh", flow_run_name=_run_name, on_failure=[tell_of_failed_run], on_crashed=[tell_of_failed_run])
def refresh(
    home: Path | None = None, catalog: Path | None = None, publish_to: Path | None = None, keep: int = KEPT_SNAPSHOTS
) -> Summary:
    """Bring warehouse and site up to date with the catalog.

    Parameters
    ----------
    home
        Folder of the warehouse; by default `$ROOFLINES_HOME`.
    catalog
        Folder of input files that add to the shipped ones and the home's, or take their place.
    publish_to
        Folder that the flow `publish` fills where the run changed something, or where an earlier run could not.
    keep
        How many of the last snapshots are kept, for `rooflines query --as-of`.

    Raises
    ------
    InputError
        An input file cannot be used, or the site not be put where it shall be. The published snapshot stays as it was.
    RunError
        Another run is writing, or a rule does not hold. The published snapshot stays as it was.
    """
    end_with_server()
    skip_missed_runs()
    log = get_run_logger()
    place = Home.at(home)
    with place.writing():
        sources = list_sources(place, catalog)
        run = steps.new_run(sources, runtime.flow_run.id)
        with steps.recorded(place, run) as altered:
            if steps.is_published(place, run) and not altered:
                log.info("unchanged: snapshot and site were made from the same inputs")
                summary = steps.finish_unchanged(place, run)
            else:
                summary = _publish_anew(place, run, sources, keep, altered)
    create_markdown_artifact(summary.markdown(place), key="refresh", description="What the run did")
    create_link_artifact(f"{place.site.as_uri()}/index.html", link_text="Rooflines", key="site")
    if summary.status == "succeeded":
        told = {"run_id": run.run_id, "home": str(place.path)}
        emit_event("rooflines.published", {"prefect.resource.id": "rooflines.snapshot"}, payload=told)
    if publish_to is not None and made_from(publish_to) != run.inputs_sha256:
        publish(out=publish_to, home=place.path)
    return summary


def _publish_anew(home: Home, run: Run, sources: list[SourceFile], keep: int, altered: set[str]) -> Summary:
    log = get_run_logger()
    log.info("reading %d files", len(sources))
    inputs = ingest(home, sources)
    log.info("computing intensities")
    inputs |= compute(home, inputs, sources)
    log.info("loading tables")
    changes = load(home, run, inputs, sources, altered)
    log.info("checking")
    rules = check(home)
    rows = [{"rule": r.name, "offending rows": r.offending_rows, "example": r.example} for r in rules]
    create_table_artifact(rows, key="checks", description="Rules, and the rows that offend them")
    steps.refuse_offences(rules)
    log.info("writing the snapshot")
    candidate = write_snapshot(home, run)
    site, draft = draw_site(home, run, candidate)
    promote(home, run, candidate, inputs, keep, draft)
    return Summary(run.run_id, "succeeded", tuple(changes), site, site.left_out)
