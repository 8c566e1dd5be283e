"""`rooflines run` and `rooflines serve`: the main job, once or on a schedule."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from flows.cli.options import Common, Flag, read_folder
from flows.cli.prefect_session import open_prefect
from flows.cli.terminal import show_progress
from warehouse.errors import InputError, RunError, one_line
from warehouse.home import Home

if TYPE_CHECKING:
    from flows.run import Summary

_LEAST_EVERY_S, _MOST_EVERY_S = 5, 7 * 86_400


def run(
    *,
    catalog: str | None = None,
    publish_to: str | None = None,
    keep: int = 3,
    flow: Flag = False,
    common: Common = Common(),
) -> int:
    """Bring the warehouse and the site up to date, as a Prefect flow run.

    Reads the shipped catalog, then HOME/catalog, then --catalog; recomputes what changed; publishes a new snapshot and
    a new site. If nothing changed, it says so at once and publishes nothing; then there is no flow run, unless
    PREFECT_API_URL names a server.

    Parameters
    ----------
    catalog
        Folder of more input files. They replace files with the same id.
    publish_to
        Also copy the site here if it changed, e.g. a web server's root.
    keep
        How many recent snapshots to keep for `rooflines query --as-of`.
    flow
        Make it a flow run even if nothing changed.
    """
    from flows.orchestrate.settings import server_address

    if keep < 1:
        raise InputError(f"--keep: {keep}; expected at least 1, the published snapshot")
    given, copy_to = read_folder("--catalog", catalog), read_folder("--publish-to", publish_to)
    started, home = time.monotonic(), common.place
    with home.lock_ahead():
        ahead = None if server_address() else _look_ahead(home, given, copy_to, may_end=not flow)
        summary = ahead or _refresh(common, given, copy_to, keep)
    _print_summary(home, summary, copy_to, time.monotonic() - started)
    return 0


@Parameter(name="*")
@dataclass(frozen=True)
class Alerts:
    """Where failed runs and rejected files are reported."""

    alert_url: str | None = None
    "URL that each failed run and rejected file is posted to, as JSON. Default: $ROOFLINES_ALERT_URL."

    alert_command: str | None = None
    "Shell command that gets the same JSON on standard input. Default: $ROOFLINES_ALERT_COMMAND."


def serve(
    *,
    cron: str = "15 3 * * *",
    timezone: str = "UTC",
    incoming_every: float = 300,
    publish_to: str | None = None,
    port: int = 4200,
    alerts: Alerts = Alerts(),
    common: Common = Common(),
) -> int:
    """Keep the schedules running on this machine, until Ctrl-C.

    Runs `rooflines run` every night, and every few minutes adds the files of HOME/incoming to the catalog: good ones
    move to incoming/accepted, bad ones to incoming/rejected with the reason next to them. Prefect's UI is on a port
    of this machine, or on the server that PREFECT_API_URL names. Failed runs and rejected files are reported on
    standard error, one line each, and as alerts.

    Parameters
    ----------
    cron
        When to run, as in crontab: minute, hour, day of the month, month, day of the week.
    timezone
        Time zone of --cron, e.g. Europe/Zurich.
    incoming_every
        Seconds between two looks at HOME/incoming.
    publish_to
        Also copy the site here if it changed, e.g. a web server's root.
    port
        Port of Prefect's UI on this machine; 0 picks a free one.
    """
    if not _LEAST_EVERY_S <= incoming_every <= _MOST_EVERY_S:
        raise InputError(f"--incoming-every: {incoming_every}; expected {_LEAST_EVERY_S} to {_MOST_EVERY_S} seconds")
    if not 0 <= port < 2**16:
        raise InputError(f"--port: {port}; expected 0 to {2**16 - 1}")
    _export_alerts(alerts)
    copy_to = read_folder("--publish-to", publish_to)
    with open_prefect(common) as show:
        from flows.ingest.incoming import make_incoming_folder
        from flows.orchestrate.embedded_server import start_server
        from flows.orchestrate.schedules import refuse_bad_schedule, serve_here
        from flows.orchestrate.settings import use_server

        refuse_bad_schedule(cron, timezone)
        make_incoming_folder(common.place)
        server = start_server(port)
        with use_server(server):
            show.stop()
            pages = f", pages on {server.api_url.removesuffix('/api')}" if server else ""
            print(f"serving {common.place.path}: refresh at '{cron}' {timezone}{pages}; Ctrl-C ends it", flush=True)
            home, every_s = common.place.path, incoming_every
            serve_here(home, cron=cron, timezone=timezone, incoming_every_s=every_s, publish_to=copy_to)
    return 0


def _look_ahead(home: Home, catalog: Path | None, publish_to: Path | None, *, may_end: bool) -> "Summary | None":
    """Do what a run can do without Prefect; what it refuses is reported like a failed flow run."""
    from flows.orchestrate.alerts import Alert, send_alert

    with show_progress("looking for changes") as show:
        from flows.look_ahead import look_ahead

        try:
            return look_ahead(home, catalog, publish_to, may_end=may_end, warn=show.warn)
        except (InputError, RunError) as error:
            send_alert(Alert(event="run-failed", home=str(home.path), reason=one_line(error), flow="refresh"))
            raise


def _refresh(common: Common, catalog: Path | None, publish_to: Path | None, keep: int) -> "Summary":
    """Run the main flow; what it needs, and what draws, is loaded while Prefect's server starts."""
    from flows.orchestrate.embedded_server import start_server
    from flows.orchestrate.settings import attach_handler, use_server

    home = common.place
    with open_prefect(common) as show:
        server = start_server()
        _start_drawing(home, catalog)
        from flows.orchestrate.refresh import refresh

        with use_server(server):
            attach_handler(show)
            return refresh(home=home.path, catalog=catalog, publish_to=publish_to, keep=keep)


def _start_drawing(home: Home, catalog: Path | None) -> None:
    """Start the processes that draw charts, if there is anything to draw."""
    from flows.ingest.catalog import list_sources
    from flows.run import create_run, is_published
    from flows.site import drawing_processes

    with suppress(Exception):  # the run itself reports what is wrong
        if not is_published(home, create_run(list_sources(home, catalog))):
            drawing_processes.start()


def _export_alerts(alerts: Alerts) -> None:
    """Put the alerts into the environment, for the runs that are started."""
    from flows.orchestrate.alerts import COMMAND, URL, refuse_bad_url

    if alerts.alert_url:
        refuse_bad_url(alerts.alert_url)
    given = ((URL, alerts.alert_url), (COMMAND, alerts.alert_command))
    os.environ |= {name: value for name, value in given if value}


def _print_summary(home: Home, summary: "Summary", copy_to: Path | None, seconds: float) -> None:
    from flows.site.snapshot_charts import name_first, summarize_left_out

    if summary.status == "unchanged":
        print(f"unchanged: everything is up to date ({seconds:.1f} s)")
    else:
        rows = {change.table: change.rows for change in summary.changes}
        touched = sum(change.touched for change in summary.changes)
        drawn = f"{len(summary.site.drawn)} of {summary.site.charts} charts drawn" if summary.site else "no charts"
        what = f"{rows['hardware']} devices, {rows['model']} models, {rows['op_cost']:,} op costs"
        print(f"published {what}: {touched:,} rows changed, {drawn} ({seconds:.1f} s)")
    if summary.site and summary.site.skipped:
        print(f"  left out  {name_first(summary.site.skipped)}: no roof of the dtype, or no points at the setting")
    for line in summarize_left_out(summary.left_out):
        print(f"  left out  {line}")
    print(f"  snapshot  {home.snapshot}")
    print(f"  site      {(copy_to or home.site) / 'index.html'}")
    print('next: rooflines query "select * from mart.roof"    rooflines schema    rooflines chart')
