"""The order of a run: ingest -> compute -> load -> check -> snapshot -> site -> publish.

Each step is a function that takes paths and digests and leaves files behind. `run` calls them in order; Prefect's flow
`refresh` calls `run`, with each step as a task.
"""

import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from flows.core_tables import NOT_TABLES, stage_inputs, stage_sources, stage_tables
from flows.ingest.source_file import SourceFile, digest_of_sources
from flows.site.build import SiteReport, build_site, read_left_out
from flows.site.publish import publish_site
from flows.site.snapshot_charts import LeftOut, summarize_left_out
from warehouse import snapshot
from warehouse.build import open_build
from warehouse.checks import Rule, read_checked, run_checks
from warehouse.digest import digest_of
from warehouse.errors import LITTLE_SPACE, RunError, explain_disk_error, one_line
from warehouse.home import Home
from warehouse.load import Change, StagedFile, load_tables
from warehouse.polars_frames import read_frame
from warehouse.repair import delete_unfinished, repair_home
from warehouse.runs import Run, finish_run, make_run_id, mark_rows_ready, record_left_out, start_run
from warehouse.site_folder.drafts import Draft, discard_draft
from warehouse.site_folder.manifest import read_inputs_digest
from warehouse.site_folder.ownership import refuse_conflicts, refuse_foreign_site
from warehouse.site_folder.placement import begin_draft, place_site
from warehouse.snapshot import KEPT_SNAPSHOTS
from warehouse.staged_frames import delete_other_files
from warehouse.version import code_version

Perform = Callable[..., Any]  # calls a step with its arguments
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Summary:
    """What a run did."""

    run_id: str
    status: str
    changes: tuple[Change, ...] = ()
    site: SiteReport | None = None
    left_out: tuple[LeftOut, ...] = ()

    def markdown(self, home: Home) -> str:
        """Return the summary as a Markdown page."""
        lines = [f"# Run {self.run_id}: {self.status}", "", f"- snapshot: `{home.snapshot}`", f"- site: `{home.site}`"]
        if self.site:
            lines.append(f"- charts: {self.site.charts}, {len(self.site.drawn)} of them redrawn")
        lines += [f"- left out: {line}" for line in summarize_left_out(self.left_out)]
        if self.changes:
            lines += ["", "| table | rows | added | changed | deleted |", "| --- | ---: | ---: | ---: | ---: |"]
            lines += [f"| {c.table} | {c.rows} | {c.inserted} | {c.updated} | {c.deleted} |" for c in self.changes]
        return "\n".join(lines)


def run(
    home: Home,
    sources: Sequence[SourceFile],
    *,
    publish_to: Path | None = None,
    keep: int = KEPT_SNAPSHOTS,
    flow_run_id: str | None = None,
    perform: Perform = lambda step, *arguments: step(*arguments),
    progress: Progress = lambda _: None,
    report: Callable[[Summary], object] = lambda _: None,
) -> Summary:
    """Bring the warehouse and the site up to date with the input files.

    Parameters
    ----------
    home
        The home; the run holds its lock.
    sources
        The input files, as `flows.ingest.catalog.list_sources` returns them.
    publish_to
        Folder to copy the site to, if the run changed it or an earlier copy failed.
    keep
        How many of the last snapshots to keep.
    flow_run_id
        Prefect's id of the run.
    perform
        Called with each step and its arguments: Prefect runs it as a task.
    progress
        Called with what is being done.
    report
        Called with the summary when the snapshot and the home's site are published.

    Raises
    ------
    InputError
        An input file cannot be used, or the site cannot be placed. The published snapshot stays as it was.
    RunError
        Another run is writing, a rule does not hold, or the disk is full. The published snapshot stays as it was.
    """
    this = create_run(sources, flow_run_id)
    with home.lock_for_writing(), record(home, this) as altered:
        if is_published(home, this) and not altered:
            progress("unchanged: snapshot and site were made from the same inputs")
            summary = finish_unchanged(home, this)
        else:
            summary = _rebuild(home, this, sources, keep, altered, perform, progress)
    report(summary)
    if is_copy_due(this, publish_to):
        perform(publish_site, home, publish_to)
    return summary


def _rebuild(
    home: Home,
    this: Run,
    sources: Sequence[SourceFile],
    keep: int,
    altered: set[str],
    perform: Perform,
    progress: Progress,
) -> Summary:
    progress(f"reading {len(sources)} files")
    inputs = perform(stage_inputs, home, sources)
    progress("computing intensities")
    computed = perform(stage_tables, home, inputs, sources)
    tables = inputs | computed
    progress("loading tables")
    changes = perform(load, home, this, tables, sources, altered)
    progress("checking")
    refuse_offences(perform(check, home, altered))
    progress("writing the snapshot")
    candidate = perform(write_snapshot, home, this)
    site, draft = perform(draw_site, home, this, candidate, progress)
    for line in summarize_left_out(site.left_out):
        progress(f"left out {line}")
    perform(promote, home, this, candidate, [*inputs.values(), *computed.values()], keep, draft)
    return Summary(this.run_id, "succeeded", tuple(changes), site, site.left_out)


def create_run(sources: Sequence[SourceFile], flow_run_id: str | None = None) -> Run:
    """Return a run of these inputs that starts now."""
    now = datetime.now(UTC)
    inputs = digest_of([digest_of_sources(sources), code_version()])
    return Run(make_run_id(now), now, code_version(), inputs, flow_run_id)


def is_published(home: Home, this: Run) -> bool:
    """Whether snapshot and site were made from the inputs of this run."""
    _, inputs_sha256 = snapshot.find_published_run(home)
    return inputs_sha256 == this.inputs_sha256 == read_inputs_digest(home.site)


def is_copy_due(this: Run, publish_to: Path | None) -> bool:
    """Whether the folder that the site is copied to lacks the site of this run."""
    return publish_to is not None and read_inputs_digest(publish_to) != this.inputs_sha256


@contextmanager
def record(home: Home, this: Run) -> Iterator[set[str]]:
    """Repair the home and record the run in core.run, and why it failed if it does.

    Yields the tables that were altered since they were published.

    Raises
    ------
    InputError
        The home cannot be written, or something else stands in its place.
    RunError
        The disk is full, or the build database was damaged meanwhile.
    """
    with _explain_disk_errors(home):
        altered = repair_home(home)
        refuse_foreign_site(home.site)
        published_run_id, _ = snapshot.find_published_run(home)
        with open_build(home) as connection:
            start_run(connection, this, published_run_id)
    try:
        with _explain_disk_errors(home):
            yield altered
    except BaseException as error:
        with suppress(Exception):
            delete_unfinished(home)  # on a full disk, others need the space
        with suppress(Exception):
            _finish_failed(home, this, one_line(error) or type(error).__name__)
        raise


def record_unchanged(home: Home, this: Run) -> Summary | None:
    """Repair the home, and record the run if it has nothing to do; return None if it has.

    Raises
    ------
    InputError, RunError
        As in `record`.
    """
    with _explain_disk_errors(home):
        altered = repair_home(home)
        refuse_foreign_site(home.site)
        if altered or not is_published(home, this):
            return None
        with open_build(home) as connection:
            start_run(connection, this, snapshot.find_published_run(home)[0])
            return finish_unchanged(home, this)


def finish_unchanged(home: Home, this: Run) -> Summary:
    """Record that there was nothing to do; charts that were left out before still are."""
    left_out = read_left_out(home.site)
    with open_build(home) as connection:
        finish_run(connection, this.run_id, "unchanged")
        record_left_out(connection, this.run_id, left_out)
    return Summary(this.run_id, "unchanged", left_out=left_out)


def load(
    home: Home,
    this: Run,
    tables: Mapping[str, StagedFile],
    sources: Sequence[SourceFile],
    altered: Collection[str] = (),
) -> list[Change]:
    """Make the tables of the build database equal to the staged frames, including tables that were altered."""
    staged = {name: file for name, file in tables.items() if name not in NOT_TABLES}
    with open_build(home) as connection:
        known = read_frame(connection, "select source_id, sha256, ingested_at from core.source")
        staged |= stage_sources(home, tables, sources, known, this.started_at)
        return load_tables(connection, this.run_id, staged, altered)


def check(home: Home, altered: Collection[str] | None = None) -> list[Rule]:
    """Check the build database against the rules of sql/checks.

    Given no `altered` table, the published rows are known to be unaltered, so only rows that changed are checked.
    """
    since = read_checked(home) if altered is not None and not altered else None
    with open_build(home) as connection:
        return run_checks(connection, since)


def refuse_offences(rules: Sequence[Rule]) -> None:
    """Raise `RunError` if a rule does not hold."""
    broken = [rule for rule in rules if rule.offending_rows]
    if broken:
        named = ", ".join(f"{rule.name} ({rule.offending_rows} rows, e.g. {rule.example})" for rule in broken)
        raise RunError(f"{len(broken)} of {len(rules)} rules do not hold, so nothing was published: {named}")


def write_snapshot(home: Home, this: Run) -> Path:
    """Copy the tables into the file that the run will publish, and return it."""
    with open_build(home) as connection:
        mark_rows_ready(connection, this.run_id)
        connection.execute("force checkpoint")  # otherwise the last changes may be in the write-ahead log
    return snapshot.write_candidate(home, this.run_id)


def draw_site(home: Home, this: Run, candidate: Path, progress: Progress = lambda _: None) -> tuple[SiteReport, Draft]:
    """Draw the charts whose data changed and write the pages; record the charts that are left out."""

    def note(left_out: Sequence[LeftOut]) -> None:
        if left_out:
            snapshot.change_candidate(candidate, lambda made: record_left_out(made, this.run_id, left_out))
            with open_build(home) as connection:
                record_left_out(connection, this.run_id, left_out)

    draft = begin_draft(home.site)
    try:
        report = build_site(candidate, draft.new, home.site, progress, note, kept=home.kept_rows)
        refuse_conflicts(draft.new, home.site)
    except BaseException:
        discard_draft(draft)
        raise
    return report, draft


def promote(home: Home, this: Run, candidate: Path, staged: Sequence[StagedFile], keep: int, draft: Draft) -> None:
    """Publish snapshot and site; delete the staged files of earlier runs, and old snapshots."""
    refuse_conflicts(draft.new, home.site)
    snapshot.promote(candidate, home, this.run_id, keep)
    place_site(draft)
    with suppress(OSError, duckdb.Error):  # it is published: the next run does what a full disk leaves undone here
        with open_build(home) as connection:
            finish_run(connection, this.run_id, "succeeded")
        delete_other_files(home.stage, staged)


@contextmanager
def _explain_disk_errors(home: Home) -> Iterator[None]:
    """Turn disk-full and corrupt-file errors into one line that says what to do."""
    try:
        yield
    except Exception as error:
        # polars does not always say that the disk is full
        is_full = isinstance(error, pl.exceptions.PolarsError) and shutil.disk_usage(home.path).free < LITTLE_SPACE
        known = explain_disk_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), home.path) if is_full else error)
        known = known or _explain_damage(home, error)
        if known is None:
            raise
        raise known from error


def _explain_damage(home: Home, error: BaseException) -> RunError | None:
    """Delete staged files that a step could not read, and say that the next run rebuilds them."""
    if isinstance(error, pl.exceptions.PolarsError):
        shutil.rmtree(home.stage, ignore_errors=True)
    elif not isinstance(error, duckdb.FatalException | duckdb.SerializationException | duckdb.InternalException):
        return None  # the next run reads every row of the build database, and rebuilds it if it cannot
    return RunError(f"{one_line(error)}; run again to rebuild what cannot be read")


def _finish_failed(home: Home, this: Run, reason: str) -> None:
    """Record why a run failed; if its snapshot was published before, the run succeeded."""
    status = "succeeded" if snapshot.find_published_run(home)[0] == this.run_id else "failed"
    with open_build(home) as connection:
        finish_run(connection, this.run_id, status, reason)
