"""The `rooflines` command. What it does not need for a command, it does not import."""

import errno
import logging
import os
import re
import select
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

from cyclopts import App, CycloptsError, Parameter

from warehouse.errors import InputError, RunError, error_lines, explain_disk_error, explain_write_error, one_line
from warehouse.files.atomic import write_file
from warehouse.home import Home, refuse_no_path
from warehouse.version import package_version

if TYPE_CHECKING:
    from flows.site.gallery import LeftOut
    from flows.steps import Summary as Refreshed
    from flows.sweep.request import Request
    from flows.sweep.run import Summary

app = App(
    name="rooflines",
    help="A queryable warehouse of rooflines: how close an operator runs to the limit of its hardware.",
    version=package_version,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


lake = App(
    name="lake",
    help="""Share what several homes have published: a DuckLake with its catalog in PostgreSQL.

    Each home pushes under a name of its own, and none undoes what another pushed. Needs the extra lake.""",
    result_action="return_value",
)
app.command(lake)

_LEAST_EVERY_S, _MOST_EVERY_S = 5, 7 * 86_400
_MOST_SECONDS = 3600.0  # for one kernel


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options that every command has."""

    home: str | None = None
    "Folder of the warehouse. Default: $ROOFLINES_HOME, or warehouse/data in a checkout, or the user's data folder."

    debug: bool = False
    "Show tracebacks, and Prefect's log."

    @property
    def place(self) -> Home:
        """The home that the command works on."""
        return Home.at(_folder("--home", self.home))


@app.command
def run(
    *,
    catalog: str | None = None,
    publish_to: str | None = None,
    keep: int = 3,
    flow: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),
) -> int:
    """Bring warehouse and site up to date, as a Prefect flow run.

    Reads the shipped catalog, then HOME/catalog, then the given one; computes what changed; publishes a new
    snapshot and a new site. If nothing changed, it says so at once and nothing is published: without a flow run, unless
    PREFECT_API_URL names a server.

    Parameters
    ----------
    catalog
        Folder of input files that add to the others, or take the place of those with the same id.
    publish_to
        Folder that the site is put into as well, where anything changed: one that a web server shows.
    keep
        How many of the last snapshots are kept, for `rooflines query --as-of`.
    flow
        Make it a flow run even if nothing changed.
    """
    from flows.orchestrate.settings import server_address

    if keep < 1:
        raise InputError(f"--keep: {keep}; expected at least 1, which is the published one")
    given, shown_at = _folder("--catalog", catalog), _folder("--publish-to", publish_to)
    started, home = time.monotonic(), common.place
    with home.lock_ahead():
        ahead = None if server_address() else _look_ahead(home, given, shown_at, may_end=not flow)
        summary = ahead or _refresh(common, given, shown_at, keep)
    seconds = time.monotonic() - started
    if summary.status == "unchanged":
        print(f"unchanged: everything is up to date ({seconds:.1f} s)")
    else:
        rows = {change.table: change.rows for change in summary.changes}
        touched = sum(change.touched for change in summary.changes)
        drawn = f"{len(summary.site.drawn)} of {summary.site.charts} charts drawn" if summary.site else "no charts"
        what = f"{rows['hardware']} devices, {rows['model']} models, {rows['op_cost']:,} op costs"
        print(f"published {what}: {touched:,} rows changed, {drawn} ({seconds:.1f} s)")
    if summary.site and summary.site.skipped:
        print(f"  left out  {', '.join(summary.site.skipped)}: no roof of the dtype, or no points at the setting")
    _tell_left_out(summary.left_out)
    print(f"  snapshot  {home.snapshot}")
    print(f"  site      {(shown_at or home.site) / 'index.html'}")
    print('next: rooflines query "select * from mart.roof"    rooflines schema    rooflines chart')
    return 0


@app.command
def serve(
    *,
    cron: str = "15 3 * * *",
    timezone: str = "UTC",
    incoming_every: float = 300,
    publish_to: str | None = None,
    port: int = 4200,
    alert_url: str | None = None,
    alert_command: str | None = None,
    common: Common = Common(),
) -> int:
    """Keep the schedules running on this machine, until Ctrl-C.

    Runs `rooflines run` at night, and puts files of HOME/incoming into the catalog every few minutes: good ones go to
    incoming/accepted, bad ones to incoming/rejected with the reason beside them. With Prefect's pages on a port of this
    machine, or on the server that PREFECT_API_URL names. Runs that fail and files that are rejected are told on
    standard error, a line each, and by the alerts.

    Parameters
    ----------
    cron
        When to run, as in crontab: minute, hour, day of the month, month, day of the week.
    timezone
        Time zone of that, as Europe/Zurich.
    incoming_every
        Seconds between two looks at HOME/incoming.
    publish_to
        Folder that the site is put into as well, where anything changed: one that a web server shows.
    port
        Port of Prefect's pages on this machine; 0 is any that is free.
    alert_url
        Address that a JSON document is posted to for each such run and file. Default: $ROOFLINES_ALERT_URL.
    alert_command
        Command of the shell that gets the same on its standard input. Default: $ROOFLINES_ALERT_COMMAND.
    """
    from flows.ingest.incoming import make_incoming
    from flows.orchestrate import alerts
    from flows.orchestrate.embedded_server import start_server
    from flows.orchestrate.settings import answering

    if not _LEAST_EVERY_S <= incoming_every <= _MOST_EVERY_S:
        raise InputError(f"--incoming-every: {incoming_every}; expected {_LEAST_EVERY_S} to {_MOST_EVERY_S} seconds")
    if not 0 <= port < 2**16:
        raise InputError(f"--port: {port}; expected 0 to {2**16 - 1}")
    if alert_url:
        alerts.refuse_bad_address(alert_url)
    os.environ |= {name: value for name, value in ((alerts.URL, alert_url), (alerts.COMMAND, alert_command)) if value}
    shown_at = _folder("--publish-to", publish_to)
    with _prefect(common) as show:
        from flows.orchestrate.schedules import refuse_bad_schedule, serve_here

        refuse_bad_schedule(cron, timezone)
        make_incoming(common.place)
        server = start_server(port)
        with answering(server):
            show.stop()
            pages = f", pages on {server.api_url.removesuffix('/api')}" if server else ""
            print(f"serving {common.place.path}: refresh at '{cron}' {timezone}{pages}; Ctrl-C ends it", flush=True)
            serve_here(
                common.place.path, cron=cron, timezone=timezone, incoming_every_s=incoming_every, publish_to=shown_at
            )
    return 0


@app.command
def ingest(
    kind: Literal[
        "hardware", "model", "workload", "ops", "measurement", "vidur", "aiconfigurator", "nsight", "torch-profiler"
    ],
    paths: list[str],
    /,
    *,
    replace: bool = False,
    hardware_id: str | None = None,
    model_id: str | None = None,
    common: Common = Common(),
) -> int:
    """Put files into the catalog of the home, all or none; the next run reads them.

    Each file that cannot be used gets a line. To undo, delete the files that the command names.

    Parameters
    ----------
    kind
        hardware: a device file (.toml), or a table of devices (.csv). model: a Hugging Face config.json, a folder that
        holds one, or a name on the hub, as meta-llama/Llama-3.1-8B (needs the extra hub). workload: a grid of
        settings (.toml). ops: kernels of any kind (.csv, .json, .parquet) with a name, a group, and m, k and n, or
        flops, bytes and precision_id. measurement: times of kernels, as `rooflines measure` writes (.csv, .parquet).
        vidur: profiles by Vidur (mlp.csv, attention.csv). aiconfigurator: tables of products and attention of
        aiconfigurator-core (.parquet, or a folder of them). nsight: `ncu --csv` with the metrics of a roofline.
        torch-profiler: a trace of PyTorch's profiler with shapes (.json, .json.gz).
    paths
        One or more files.
    replace
        Take the place of entries of the same name.
    hardware_id
        The device of measurements whose files do not say; by default the one that the path names.
    model_id
        The model of such measurements.
    """
    from flows.ingest.user_catalog import add

    home = common.place
    with _progress("reading") as show:
        entries = add(
            home, kind, paths, replace=replace, hardware_id=hardware_id, model_id=model_id, progress=show.tell
        )
    for added in entries:
        print(f"added  {added.path}{' (in the place of the shipped one)' if added.replaces_shipped else ''}")
    print("next: rooflines run")
    return 0


@app.command
def measure(
    *,
    out: Path,
    hardware_id: str,
    backend: Literal["torch-cuda", "numpy"] = "torch-cuda",
    workload: list[str] | None = None,
    model: list[str] | None = None,
    precision: list[str] | None = None,
    seconds: float = 0.2,
    plan_only: bool = False,
    common: Common = Common(),
) -> int:
    """Time the ops of workloads on this machine, and write a measurement file.

    The ceilings (largest copies, triads and products) are measured first. A file that is there is gone on with: what
    it holds is not timed again. `rooflines ingest measurement FILE` puts it into the catalog.

    Parameters
    ----------
    out
        File to write (.csv).
    hardware_id
        The device, by its id in the catalog, as h100-sxm.
    backend
        torch-cuda (PyTorch on a CUDA device) or numpy (any computer, fp32 and fp64).
    workload
        Workloads of the catalog whose ops are timed; without one, the ceilings alone.
    model
        Models to keep of those.
    precision
        Precisions to keep of those.
    seconds
        Time that one kernel may take.
    plan_only
        Write the plan of what would be timed, for `python measure.py --plan FILE` on a machine that has PyTorch and
        nothing of this project but that file, flows/measure/standalone.py.
    """
    from flows.measure import standalone as measuring

    home, rows = common.place, []
    refuse_no_path("--out", out)
    if not re.fullmatch("[a-z0-9][a-z0-9._-]{0,63}", hardware_id):
        raise InputError(f"--hardware-id: {hardware_id[:64]}; expected an id as h100-sxm")
    if not 0 < seconds < _MOST_SECONDS:
        raise InputError(f"--seconds: {seconds:g}; expected more than 0, and less than {_MOST_SECONDS:g}")
    if workload:
        from flows.ingest.catalog import list_sources
        from flows.measure.plan import plan_of

        planned = plan_of(list_sources(home), workload, model or [], precision or [])
        rows = [
            {name: "" if value is None else str(value) for name, value in row.items()} for row in planned.to_dicts()
        ]
    try:
        with _progress("measuring") as show:
            if plan_only:
                measuring.write_plan(rows, out)
                counts = {"kernels planned": len(rows)}
            else:
                device = measuring.start_backend(backend)
                every = [*measuring.ceilings(device), *rows]
                counts = measuring.measure(every, out, device, hardware_id, seconds=seconds, progress=show.tell)
    except OSError as error:
        raise explain_write_error(f"--out: {out}", error, "a file") from None
    except ValueError as error:
        raise InputError(f"--out: {out}: {error}") from None
    except measuring.NoBackendError as error:
        raise InputError(f"--backend {backend}: {error}") from None
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    print(f"  {'plan' if plan_only else 'measurements'}  {out}")
    if not plan_only:
        print(f"next: rooflines ingest measurement {out}")
    return 0


@app.command
def calibrate(*, common: Common = Common()) -> int:
    """Fit calibrated roofs to what was measured: how far below its roof each device runs, by kind of op and dtype.

    Reads the measurements of the published snapshot and writes catalog/calibrations.toml in the home; the next run
    reads it. To undo, delete that file. Needs the extra calibrate.
    """
    from flows.measure.calibrate import calibrate as fit_all

    with _progress("fitting calibrated roofs"):
        path, rows = fit_all(common.place)
    for row in rows.iter_rows(named=True):
        held_out = f", held out {row['holdout_mape']:.1%}" if row["holdout_mape"] is not None else ""
        what = f"{row['hardware_id']} {row['op_kind']} {row['dtype']}: {row['n_points']} kernels"
        print(f"fitted  {what}, mean error {row['fit_mape']:.1%}{held_out}")
    print(f"added  {path}")
    print("next: rooflines run")
    return 0


@app.command
def sweep(
    *,
    name: str | None = None,
    model: list[str] | None = None,
    convention: list[str] | None = None,
    phase: list[str] | None = None,
    precision: list[str] | None = None,
    tensor_parallel: str = "1",
    batch: str = "1:256:x2",
    sequence: str = "128:32768:x2",
    candidates: str | None = None,
    rows_per_part: int = 4_000_000,
    out: str | None = None,
    runner: Literal["threads", "dask"] = "threads",
    address: str | None = None,
    dry_run: bool = False,
    remove: str | None = None,
    common: Common = Common(),
) -> int:
    """Compute the op costs of a large grid into Parquet files, which mart.sweep_cost and mart.sweep_point read.

    A range is numbers with commas, 1,2,4, or first:last:step, 1:64:1, or first:last:xfactor, 1:512:x2, or several of
    these with commas. Names may stand with commas too. Interrupted, the same command goes on: parts that are there
    are kept. `rooflines sweep --remove NAME` undoes it.

    Parameters
    ----------
    name
        Name of the sweep, its sweep_id; one of that name is replaced.
    model
        Models. Default: all.
    convention
        Which ops there are: engine, paper, llm-viewer. Default: engine.
    phase
        prefill, decode, speculative. Default: prefill and decode, and speculative where there are candidates.
    precision
        Precisions. Default: fp16.
    tensor_parallel
        Range of devices that share a model: some of 1,2,4,8.
    batch
        Range of batch sizes.
    sequence
        Range of prompt and context lengths.
    candidates
        Range of tokens that a speculative step verifies at once.
    rows_per_part
        Most rows of a file; two files at a time are in memory, at about 100 bytes a row.
    out
        Folder for the files, instead of HOME/sweeps: of shared storage, or s3://bucket/folder (needs the extra s3;
        keys, region and endpoint come from the variables AWS_*). They go to its subfolder NAME.
    runner
        Who computes: threads of this machine, or the workers of a Dask scheduler (needs the extra dask), which
        have this version of rooflines, and all see the folder of --out.
    address
        The Dask scheduler, as tcp://10.0.0.5:8786.
    dry_run
        Say how many rows, parts and bytes it would be, and write nothing.
    remove
        Name of a sweep to take away, with its files.
    """
    home = common.place
    if (name is None) == (remove is None):
        raise InputError("sweep: expected either --name NAME or --remove NAME")
    if remove is not None:
        from warehouse.sweeps.registry import remove_sweep as take_away

        count = take_away(home, remove)
        print(f"removed {remove}: {count} parts")
        return 0
    if runner == "dask" and out is None:
        raise InputError("--runner dask: expected --out, a folder of storage that every worker sees, or s3://…")
    if runner == "threads" and address is not None:
        raise InputError("--address: expected beside --runner dask")

    from flows.sweep.request import Request
    from flows.sweep.run import run_sweep
    from warehouse.files.bucket import parse_location

    asked = {"conventions": convention, "precisions": precision}
    request = Request(
        name or "",
        models=model or [],
        phases=phase or [],
        tensor_parallel=tensor_parallel,
        batch=batch,
        sequence=sequence,
        candidates=candidates,
        rows_per_part=rows_per_part,
        out=None if _folder("--out", out) is None else parse_location("--out", out or ""),
        **{field: names for field, names in asked.items() if names},
    )
    started = time.monotonic()
    if runner == "dask" and not dry_run:
        done = _sweep_on_dask(request, address, common)
    else:
        with _progress("planning") as show:
            done = run_sweep(home, request, dry_run=dry_run, progress=show.tell)
    seconds = time.monotonic() - started
    there = f"{done.parts_before} of {done.part_count} parts were there"
    if dry_run:
        print(f"would write {done.row_count:,} rows: {there}, about {done.size_bytes / 1e6:,.0f} MB in all")
        return 0
    print(f"swept {done.row_count:,} rows, {done.size_bytes / 1e6:,.0f} MB: {there} ({seconds:.1f} s)")
    print(f"  parts  {done.folder}")
    print(f"next: rooflines query \"select * from mart.sweep_point where sweep_id = '{name}' limit 9\"")
    return 0


@lake.command
def push(
    *,
    to: str | None = None,
    data: str | None = None,
    writer: str | None = None,
    replace: bool = False,
    common: Common = Common(),
) -> int:
    """Put the tables of the published snapshot into the lake, in one transaction: rows that differ, no others.

    The rows of other writers stay. Sweeps stay in their homes. `rooflines lake remove` undoes it.

    Parameters
    ----------
    to
        The lake, by what DuckLake takes after ducklake:, as "postgres:dbname=lake host=db.example.org". Default:
        $ROOFLINES_LAKE. A password is better left to ~/.pgpass or $PGPASSWORD.
    data
        Folder, or s3:// address, for the files of a lake that is not there yet: one that every home reaches.
    writer
        Name that this home pushes under. Default: the name of the machine.
    replace
        Take the place of what another home pushed under this name.
    """
    from warehouse.lake.push import default_writer, push_home

    home, name, started = common.place, writer or default_writer(), time.monotonic()
    with _progress("pushing"):
        pushed = push_home(home, _lake_address("--to", to), name, data, replace=replace)
    seconds = time.monotonic() - started
    if pushed.touched:
        print(f"pushed as {name}: {pushed.put_in:,} rows put in, {pushed.taken_out:,} taken out ({seconds:.1f} s)")
    else:
        print(f"unchanged: the lake has all of {name} ({seconds:.1f} s)")
    print("next: rooflines lake pull --home FOLDER")
    return 0


@lake.command
def pull(*, from_: Annotated[str | None, Parameter(name="--from")] = None, common: Common = Common()) -> int:
    """Make the snapshot of a home from what the lake shows, for query, schema, chart, publish and check.

    The home is for that alone: a run needs one of its own.

    Parameters
    ----------
    from_
        The lake, as for `rooflines lake push --to`. Default: $ROOFLINES_LAKE.
    """
    from warehouse.lake.pull import pull_lake

    home, started = common.place, time.monotonic()
    with _progress("pulling"):
        pulled = pull_lake(home, _lake_address("--from", from_))
    seconds = time.monotonic() - started
    verb = "unchanged since the last pull" if pulled.run_id is None else "pulled"
    print(f"{verb}: what {', '.join(pulled.writers) or 'nobody'} pushed ({seconds:.1f} s)")
    print(f"  snapshot  {home.snapshot}")
    print(f'next: rooflines query --home {shlex.quote(str(home.path))} "select * from core.writer"')
    return 0


@lake.command
def remove(
    *, writer: str, from_: Annotated[str | None, Parameter(name="--from")] = None, common: Common = Common()
) -> int:
    """Take all rows of a writer out of the lake.

    Parameters
    ----------
    writer
        Name that a home pushed under.
    from_
        The lake, as for `rooflines lake push --to`. Default: $ROOFLINES_LAKE.
    """
    from warehouse.lake.push import remove_writer

    with _progress("removing"):
        count = remove_writer(_lake_address("--from", from_), writer)
    print(f"removed {writer}: {count:,} rows")
    return 0


@app.command
def query(
    sql: str | None = None,
    /,
    *,
    file: Path | None = None,
    format: Literal["table", "csv", "json", "parquet"] = "table",  # noqa: A002
    out: Path | None = None,
    as_of: str | None = None,
    timeout: float = 300,
    memory: str = "2GB",
    raw: bool = False,
    common: Common = Common(),
) -> int:
    """Run read-only SQL on the published snapshot.

    Parameters
    ----------
    sql
        The statement, as "select * from mart.roof".
    file
        File to read the statement from instead; - is standard input.
    format
        How rows are written. A table shows the first and the last rows; the others write all of them.
    out
        File to write to instead of standard output.
    as_of
        Run whose snapshot is read instead, by its id or the beginning of that, as 20261122 (`mart.run_history`).
    timeout
        Seconds after which the statement is stopped.
    memory
        Memory that it can take, as 500MB.
    raw
        Leave text of CSV that begins with =, +, - or @ as it is; else an apostrophe stands before it, for spreadsheets.
    """
    from flows.cli.query_result import write_result
    from warehouse.sandbox.question import Question

    if not timeout > 0:
        raise InputError(f"--timeout: {timeout:g}; expected seconds")
    home, snapshot = common.place, common.place.snapshot
    if as_of is not None:
        from warehouse.snapshot import find_snapshot

        snapshot = find_snapshot(home, as_of)
    more = "--timeout --memory"
    question = Question(str(snapshot), _statement(sql, file), format, "query", timeout, memory, more, raw=raw)
    write_result(home, question, out)
    return 0


@app.command
def schema(name: str | None = None, /, *, common: Common = Common()) -> int:
    """List tables and views, or the columns of one, with their comments.

    Parameters
    ----------
    name
        A table or view, as mart.roof; mart. may be left out.
    """
    from warehouse.schema import describe

    print(describe(common.place.snapshot, name))
    return 0


@app.command
def chart(
    name: str | None = None,
    /,
    *,
    out: Path | None = None,
    sql: Path | None = None,
    precision: str = "fp16",
    marks: Literal["computed", "predicted", "measured"] | None = None,
    common: Common = Common(),
) -> int:
    """Draw one chart of the gallery, or the rows of a query as a roofline; without either, list the charts.

    Parameters
    ----------
    name
        Name of the chart, as roofline-llama-7b-a40.
    out
        File to write: .json (Vega-Lite), .html, .svg or .png. Default: Vega-Lite on standard output.
    sql
        File with a query whose rows are the points of one device's roofline: hardware_id, intensity_flops_per_byte,
        performance_flops_per_s, and label, phase and bound where there are any. - is standard input.
    precision
        Of such a query: the precision whose roof is the main one.
    marks
        Of a chart in the paper's style: which marks are drawn. Default: those nearest to the truth, which are the
        measured ones, else the predicted, else the computed.
    """
    from flows.site.gallery import chart_frame, find_chart, gallery, is_drawable, roofline_of, with_marks
    from warehouse.snapshot import open_snapshot

    if out and name is None and sql is None:
        raise InputError("chart: expected the name of a chart beside --out; `rooflines chart` lists them")
    if name is not None and sql is not None:
        raise InputError("chart: expected either the name of a chart or --sql FILE")
    if name is None and marks is not None:
        raise InputError("--marks: expected beside the name of a chart; `rooflines chart` lists them")
    refuse_no_path("--out", out or "")
    suffix = out.suffix.removeprefix(".") if out else "json"
    if suffix not in {"json", "html", "svg", "png"}:
        raise InputError(f"--out: {out}: expected a file that ends in .json, .html, .svg or .png")
    with open_snapshot(common.place.snapshot) as connection:
        if sql is not None:
            entry, frame = roofline_of(connection, _statement(None, sql, "--sql"), precision, "chart: --sql")
        elif name is None:
            print("\n".join(entry.name for entry in gallery(connection) if entry.is_listed))
            return 0
        else:
            entry = find_chart(connection, name)
            entry = with_marks(entry, marks) if marks else entry
            frame = chart_frame(connection, entry)
    if marks and not frame.is_empty() and not is_drawable(frame):
        there = " or ".join(sorted(set(frame["layer"]) & {"computed", "predicted", "measured"})) or "another chart"
        raise InputError(f"--marks {marks}: {name} has none of these; expected {there}")
    if sql is None and not is_drawable(frame):
        raise InputError(f"chart: {name}: no roof of this dtype, or no points at this setting; expected both")
    from flows.site.render import chart_spec, render

    content = render(chart_spec(entry, frame), suffix)
    if out is None:
        _print_bytes(content)
    else:
        _write(out, content)
        print(out)
    return 0


@app.command
def publish(*, out: str | None = None, common: Common = Common()) -> int:
    """Build the site from the published snapshot.

    Parameters
    ----------
    out
        Folder to put it into, in the place of an earlier site; what else it holds stays. Default: HOME/site.
    """
    from flows.site import publish as publishing

    home = common.place
    site = _folder("--out", out) or home.site.absolute()
    with _progress("reading the snapshot") as show:
        report = publishing.publish_site(home, site, show.tell)
    print(f"published {report.charts} charts, {len(report.drawn)} of them drawn anew")
    _tell_left_out(report.left_out)
    print(f"  site  {site / 'index.html'}")
    return 0


@app.command
def check(*, common: Common = Common()) -> int:
    """Hold the rules of sql/checks against the published snapshot; 1 is returned where one does not hold.

    Charts that the site lacks are named too, and no rule: the data are right without them.
    """
    from warehouse.checks import run_checks
    from warehouse.runs import read_left_out
    from warehouse.snapshot import open_snapshot, refuse_earlier_version

    with open_snapshot(common.place.snapshot) as connection:
        refuse_earlier_version(connection)
        rules, lacking = run_checks(connection), read_left_out(connection)
    for rule in rules:
        verdict = f"{rule.offending_rows} rows" if rule.offending_rows else "ok"
        print(f"{verdict:>10}  {rule.name}: {rule.grain}")
        if rule.offending_rows:
            print(f"{'':>10}  as {rule.example}")
    for chart in lacking:
        print(f"{'left out':>10}  {': '.join(chart)}")
    return int(any(rule.offending_rows for rule in rules))


def main() -> None:
    """Run the command line and exit: 0 good, 1 a run or a rule failed, 2 bad input."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(tokens: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    debug = "--debug" in tokens
    try:
        code = int(app(tokens, exit_on_error=False, print_error=False) or 0)
        _flush()
        return code
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Exception as error:
        is_left = os.strerror(errno.EPIPE) in str(error) and _is_left(sys.stdout)
        _flush_or_drop()
        if is_left:
            return 0
        said = error if isinstance(error, InputError | RunError | CycloptsError) else explain_disk_error(error)
        code = 2 if isinstance(said, InputError | CycloptsError) else 1
        return _fail(said or _unforeseen(error, debug), code, debug)


def _unforeseen(error: Exception, debug: bool) -> str:
    return str(error) if debug else f"{type(error).__name__}: {error} (--debug shows where)"


def _flush() -> None:
    """Write out what was printed, while it can still be said that this fails."""
    if sys.stdout is not None:  # of a shell that closed it
        sys.stdout.flush()


def _print_bytes(content: bytes) -> None:
    if sys.stdout is None:
        raise InputError("standard output is closed; expected --out FILE")
    sys.stdout.buffer.write(content)


def _is_left(stream: TextIO | None) -> bool:
    """Whether nobody reads a stream any more, as in `rooflines schema | head -1`."""
    with suppress(OSError, ValueError, AttributeError):
        poll = select.poll()
        poll.register(stream.fileno() if stream else -1, 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    return False


def _flush_or_drop() -> None:
    """Write out what was printed, or send it nowhere: the interpreter would tell of it once more where it ends."""
    with suppress(OSError, ValueError, AttributeError):
        try:
            _flush()
        except OSError:
            _drop(sys.stdout)


def _drop(stream: TextIO) -> None:
    """Send nowhere what is still to be written to a stream, or else the interpreter would fail where it ends."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _fail(reason: BaseException | str, code: int, debug: bool = False) -> int:
    if debug:
        traceback.print_exc()
    try:
        for line in error_lines(reason) if sys.stderr else ():
            print(f"rooflines: {line}", file=sys.stderr, flush=True)
    except OSError:  # nobody reads it
        _drop(sys.stderr)
    return code


def _tell_left_out(charts: "Sequence[LeftOut]") -> None:
    from flows.site.gallery import told

    for said in told(charts):
        print(f"  left out  {said}")


def _folder(option: str, value: str | None) -> Path | None:
    if value is not None and not value.strip():
        raise InputError(f"{option}: empty; expected a folder")
    refuse_no_path(option, value or "")
    return Path(value).expanduser().absolute() if value else None


def _lake_address(option: str, given: str | None) -> str:
    address = (given or os.environ.get("ROOFLINES_LAKE", "")).strip().removeprefix("ducklake:")
    if not address:
        raise InputError(
            f"lake: expected {option} ADDRESS or $ROOFLINES_LAKE, as 'postgres:dbname=lake host=localhost'"
        )
    return address


def _look_ahead(home: Home, catalog: Path | None, publish_to: Path | None, *, may_end: bool) -> "Refreshed | None":
    """Do what a run can do without Prefect; what it refuses is told as a failed flow run is."""
    from flows.orchestrate.alerts import Trouble, tell

    with _progress("looking for changes") as show:
        from flows.look_ahead import look_ahead

        try:
            return look_ahead(home, catalog, publish_to, may_end=may_end, warn=show.warn)
        except (InputError, RunError) as error:
            tell(Trouble(event="run-failed", home=str(home.path), reason=one_line(error), flow="refresh"))
            raise


def _refresh(common: Common, catalog: Path | None, publish_to: Path | None, keep: int) -> "Refreshed":
    """Run the main flow; what it needs, and what draws, is loaded while Prefect's server starts."""
    from flows.orchestrate.embedded_server import start_server
    from flows.orchestrate.settings import answering, listen

    home = common.place
    with _prefect(common) as show:
        server = start_server()
        _start_drawing(home, catalog)
        from flows.orchestrate.refresh import refresh

        with answering(server):
            listen(show)
            return refresh(home=home.path, catalog=catalog, publish_to=publish_to, keep=keep)


def _start_drawing(home: Home, catalog: Path | None) -> None:
    """Start the processes that draw, if there is anything to draw."""
    from flows.ingest.catalog import list_sources
    from flows.site import drawing_processes as pool
    from flows.steps import is_published, new_run

    with suppress(Exception):  # the run itself will say what is wrong
        if not is_published(home, new_run(list_sources(home, catalog))):
            pool.start()


def _sweep_on_dask(request: "Request", address: str | None, common: Common) -> "Summary":
    """Run the flow of a sweep on many machines."""
    from importlib.util import find_spec

    from flows.orchestrate.embedded_server import start_server
    from flows.orchestrate.settings import answering, listen

    if address is None:
        raise InputError("--runner dask: expected --address of its scheduler, as tcp://10.0.0.5:8786")
    if find_spec("distributed") is None:
        raise InputError("--runner dask: expected the extra dask: pip install 'rooflines[dask]'")
    with _prefect(common) as show, answering(start_server()):
        from flows.orchestrate.sweep import sweep_on_dask

        listen(show)
        return sweep_on_dask(request.name, request, address, common.place.path)


def _statement(sql: str | None, file: Path | None, option: str = "--file") -> str:
    if (sql is None) == (file is None):
        raise InputError('query: expected either SQL, as "select * from mart.roof", or --file FILE')
    if file is None:
        return sql or ""
    refuse_no_path(option, file)
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{option}: {file}: byte {error.start} is not UTF-8; expected a text file") from None
    except OSError as error:
        raise InputError(f"{option}: {file}: {error.strerror or error}; expected a text file") from None


def _write(path: Path, content: bytes) -> None:
    try:
        write_file(path, content)
    except OSError as error:
        raise explain_write_error(f"--out: {path}", error, "a file") from None


@contextmanager
def _prefect(common: Common) -> Iterator["_Progress"]:
    """Load Prefect as a command needs it: it reports nothing, and its log stays off the terminal."""
    from flows.orchestrate.settings import (
        keep_prefect_home,
        opt_out_of_telemetry,
        prefect_defaults,
        quiet_terminal,
        refuse_silent_server,
        refuse_strange_server,
        refuse_unwritable_prefect_home,
    )

    refuse_unwritable_prefect_home()
    refuse_silent_server()
    keep_prefect_home()
    opt_out_of_telemetry()
    if not common.debug:
        quiet_terminal()
    with _progress("starting Prefect") as show, _left_at_once(show), prefect_defaults():
        refuse_strange_server()
        yield show


@contextmanager
def _left_at_once(show: "_Progress") -> Iterator[None]:
    """End the process where the user presses Ctrl-C.

    The terminal stops the embedded server with the same keys, and Prefect would call it for minutes.
    The server ends with this process. A run can be cut off anywhere: what is published stays, and the next
    run mends the rest.
    """

    def leave(_signal: int, _frame: object) -> None:
        show.stop()
        print("rooflines: interrupted; what is published stays as it was", file=sys.stderr, flush=True)
        os._exit(130)

    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Progress(logging.Handler):
    """Shows the last message of a log on one line of the terminal."""

    def __init__(self, status: Any) -> None:
        super().__init__(logging.INFO)
        self._status = status

    def emit(self, record: logging.LogRecord) -> None:
        if not record.module.endswith("_engine"):  # Prefect's own words about states
            self.tell(record.getMessage())

    def tell(self, message: str) -> None:
        if self._status:
            self._status.update(message)

    def warn(self, message: str) -> None:
        """Leave a line on the terminal."""
        print(f"rooflines: {message}", file=sys.stderr)

    def stop(self) -> None:
        if self._status:
            self._status.stop()


@contextmanager
def _progress(message: str) -> Iterator[_Progress]:
    """Show what is going on where a person looks on, and nothing elsewhere."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _Progress(None)
        return
    from rich.console import Console

    with Console(stderr=True).status(message) as status:
        yield _Progress(status)
