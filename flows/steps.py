"""The steps of a refresh as plain functions: each takes paths and digests and leaves files behind."""

import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl

from flows.ingest.kinds import CATALOG_KINDS, Frames, read_kind, refuse_unknown_names
from flows.ingest.readers.calibration import transfer_to_relatives
from flows.ingest.readers.gallery import mark_unknown_ids
from flows.ingest.readers.measurement import add_measured_ceilings, refuse_unknown_devices
from flows.ingest.source_file import SourceFile, digest_of_sources
from flows.intensity.costs import op_costs
from flows.intensity.custom import custom_costs, custom_shapes
from flows.intensity.shapes import model_shards, op_shapes
from flows.intensity.terms import DEGREES
from flows.site import publish
from flows.site.snapshot_charts import LeftOut, summarize_left_out
from warehouse import snapshot
from warehouse.build import open_build
from warehouse.checks import Rule, run_checks
from warehouse.digest import digest_of
from warehouse.errors import LITTLE_SPACE, RunError, disk_trouble, one_line
from warehouse.home import Home
from warehouse.load import Change, Staged, load_tables
from warehouse.polars_frames import read_frame
from warehouse.repair import forget_unfinished, mend
from warehouse.runs import Run, finish_run, new_run_id, note_left_out, start_run, time_run
from warehouse.site_placement import (
    Draft,
    begin_draft,
    discard,
    made_from,
    place,
    refuse_conflicts,
    refuse_foreign_site,
)
from warehouse.staged_frames import forget_others, is_whole, staged, staged_files
from warehouse.version import code_version


@dataclass(frozen=True)
class Summary:
    """What a run did."""

    run_id: str
    status: str
    changes: tuple[Change, ...] = ()
    site: publish.SiteReport | None = None
    left_out: tuple[LeftOut, ...] = ()

    def markdown(self, home: Home) -> str:
        """Return the summary as a Markdown page."""
        lines = [f"# Run {self.run_id}: {self.status}", "", f"- snapshot: `{home.snapshot}`", f"- site: `{home.site}`"]
        if self.site:
            lines.append(f"- charts: {self.site.charts}, {len(self.site.drawn)} of them drawn anew")
        lines += [f"- left out: {said}" for said in summarize_left_out(self.left_out)]
        if self.changes:
            lines += ["", "| table | rows | added | changed | taken out |", "| --- | ---: | ---: | ---: | ---: |"]
            lines += [f"| {c.table} | {c.rows} | {c.inserted} | {c.updated} | {c.deleted} |" for c in self.changes]
        return "\n".join(lines)


# what charts of users name, and the column that holds the name
_NAMED_BY_CHARTS = {"hardware": "hardware_id", "model": "model_id", "op_set": "op_set_id", "precision": "precision_id"}

# staged frames that are no tables of core
_NO_TABLES = {"op", "relative", "fitted", *(f"origin_{kind}" for kind in CATALOG_KINDS)}


def new_run(sources: Sequence[SourceFile], flow_run_id: str | None = None) -> Run:
    """Return a run of these inputs that starts now."""
    now = datetime.now(UTC)
    inputs = digest_of([digest_of_sources(sources), code_version()])
    return Run(new_run_id(now), now, code_version(), inputs, flow_run_id)


@contextmanager
def recorded(home: Home, run: Run) -> Iterator[set[str]]:
    """Put the home right and write the run into core.run, and how it failed where it does.

    Yields the tables that were altered since they were published.

    Raises
    ------
    InputError
        The disk does not let the home be written, or it holds something else.
    RunError
        The disk is full, or the build database was spoilt meanwhile.
    """
    with _in_one_line(home):
        altered = mend(home)
        refuse_foreign_site(home.site)
        published_run_id, _ = snapshot.last_published(home)
        with open_build(home) as connection:
            start_run(connection, run, published_run_id)
    try:
        with _in_one_line(home):
            yield altered
    except BaseException as error:
        with suppress(Exception):
            forget_unfinished(home)  # on a full disk, others need the space
        with suppress(Exception):
            _finish_failed(home, run, one_line(error) or type(error).__name__)
        raise


@contextmanager
def _in_one_line(home: Home) -> Iterator[None]:
    """Say of what failing disks and spoilt files bring about what to do."""
    try:
        yield
    except Exception as error:
        # polars does not always say so
        is_full = isinstance(error, pl.exceptions.PolarsError) and shutil.disk_usage(home.path).free < LITTLE_SPACE
        said = disk_trouble(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), home.path) if is_full else error)
        said = said or _damage(home, error)
        if said is None:
            raise
        raise said from error


def _finish_failed(home: Home, run: Run, reason: str) -> None:
    """Record why a run failed; where that was after its snapshot was published, the run succeeded."""
    status = "succeeded" if snapshot.last_published(home)[0] == run.run_id else "failed"
    with open_build(home) as connection:
        finish_run(connection, run.run_id, status, reason)


def _damage(home: Home, error: BaseException) -> RunError | None:
    """Forget the staged files that a step could not read, and say that the next run makes anew what cannot be read."""
    if isinstance(error, pl.exceptions.PolarsError):
        shutil.rmtree(home.stage, ignore_errors=True)
    elif not isinstance(error, duckdb.FatalException | duckdb.SerializationException | duckdb.InternalException):
        return None  # the next run reads every row of the build database, and makes it anew if it cannot
    return RunError(f"{one_line(error)}; run again, and what cannot be read is made anew")


def is_published(home: Home, run: Run) -> bool:
    """Whether snapshot and site were made from the inputs of this run."""
    _, inputs_sha256 = snapshot.last_published(home)
    return inputs_sha256 == run.inputs_sha256 == made_from(home.site)


def record_unchanged(home: Home, run: Run) -> Summary | None:
    """Put the home right, and record the run if it has nothing to do; None if it has.

    Raises
    ------
    InputError, RunError
        As of `recorded`.
    """
    with _in_one_line(home):
        altered = mend(home)
        refuse_foreign_site(home.site)
        if altered or not is_published(home, run):
            return None
        with open_build(home) as connection:
            start_run(connection, run, snapshot.last_published(home)[0])
            return finish_unchanged(home, run)


def finish_unchanged(home: Home, run: Run) -> Summary:
    """Record that there was nothing to do; charts that were left out before still are."""
    left_out = publish.read_left_out(home.site)
    with open_build(home) as connection:
        finish_run(connection, run.run_id, "unchanged")
        note_left_out(connection, run.run_id, left_out)
    return Summary(run.run_id, "unchanged", left_out=left_out)


def ingest(home: Home, kind: str, sources: Sequence[SourceFile]) -> dict[str, Staged]:
    """Validate the files of a kind and stage their frames, one a table and one with the files' origins."""

    def build() -> Frames:
        frames = read_kind(kind, sources)
        return {**frames, f"origin_{kind}": frames["origin"]}

    return staged(home.stage, *_names_and_digests(kind, sources), build)


def read(home: Home, kind: str, sources: Sequence[SourceFile]) -> Frames:
    """Return the frames of a kind without writing any: of files that no run has staged, read and validated now."""
    files = staged_files(home.stage, *_names_and_digests(kind, sources))
    if not all(is_whole(file.path) for file in files.values()):
        return read_kind(kind, sources)
    return {name: pl.scan_parquet(file.path, glob=False) for name, file in files.items()}


def _names_and_digests(kind: str, sources: Sequence[SourceFile]) -> tuple[list[str], list[str]]:
    """Return the names of the frames of a kind, and what they are made from."""
    return [*CATALOG_KINDS[kind].frames, f"origin_{kind}"], [kind, digest_of_sources(sources)]


def compute(home: Home, inputs: Mapping[str, Staged], sources: Sequence[SourceFile]) -> dict[str, Staged]:
    """Stage the shapes of the ops of every model at every setting, and what they cost."""
    names = ("model", "workload", "precision", "elementwise", "op", "op_set")

    def build() -> dict[str, pl.DataFrame]:
        frames = {name: pl.read_parquet(inputs[name].path, glob=False) for name in names}
        refuse_unknown_names({name: frame.lazy() for name, frame in frames.items()}, sources)
        models, precisions, own = frames["model"], frames["precision"], frames["op"]
        shapes = op_shapes(models, frames["workload"])
        own_shapes = custom_shapes(own, precisions["precision_id"].to_list())
        every_shape = pl.concat([shapes, own_shapes.select(shapes.columns)])
        costs = [op_costs(every_shape, precisions, frames["elementwise"]), custom_costs(own, own_shapes)]
        return {
            "op_shape": every_shape.drop("precisions"),
            "op_cost": pl.concat(costs),
            "model_shard": model_shards(models, DEGREES).drop("active"),
        }

    tables = ["op_shape", "op_cost", "model_shard"]
    computed = staged(home.stage, tables, [inputs[name].inputs_sha256 for name in names], build)
    computed |= _with_measured_ceilings(home, inputs, sources) | _with_relatives(home, inputs)
    return computed | _with_faults(home, inputs)


def charts_with_faults(frames: Frames) -> pl.DataFrame:
    """Return the rows of core.own_chart; a chart that names what is not in the catalog has a fault."""
    ids = {name: frames[name].select(column).collect()[column].to_list() for name, column in _NAMED_BY_CHARTS.items()}
    devices, models = ids["hardware"], [*ids["model"], *ids["op_set"]]
    known = {"hardware_id": devices, "devices": devices, "model_id": models, "precision_id": ids["precision"]}
    return mark_unknown_ids(frames["own_chart"].collect(), known)


def _scan(file: Staged) -> pl.LazyFrame:
    return pl.scan_parquet(file.path, glob=False)


def _with_faults(home: Home, inputs: Mapping[str, Staged]) -> dict[str, Staged]:
    """Stage core.own_chart anew: a chart that names what is not in the catalog cannot be drawn."""
    names = ("own_chart", *_NAMED_BY_CHARTS)

    def build() -> dict[str, pl.DataFrame]:
        return {"own_chart": charts_with_faults({name: _scan(inputs[name]) for name in names})}

    return staged(home.stage, ["own_chart"], ["known", *(inputs[name].inputs_sha256 for name in names)], build)


def _with_measured_ceilings(
    home: Home, inputs: Mapping[str, Staged], sources: Sequence[SourceFile]
) -> dict[str, Staged]:
    """Stage core.ceiling anew, with the limits that measurements show."""
    names = ("hardware", "ceiling", "measurement")

    def build() -> dict[str, pl.DataFrame]:
        devices, ceilings = (pl.read_parquet(inputs[name].path, glob=False) for name in names[:2])
        measurements = pl.scan_parquet(inputs["measurement"].path, glob=False)
        refuse_unknown_devices(measurements, devices, sources)
        return {"ceiling": add_measured_ceilings(ceilings, measurements, sources)}

    return staged(home.stage, ["ceiling"], ["measured", *(inputs[name].inputs_sha256 for name in names)], build)


def _with_relatives(home: Home, inputs: Mapping[str, Staged]) -> dict[str, Staged]:
    """Stage core.calibration: what is fitted, and what devices without measurements take over."""
    names = ("fitted", "relative")

    def build() -> dict[str, pl.DataFrame]:
        fitted, relatives = (pl.read_parquet(inputs[name].path, glob=False) for name in names)
        return {"calibration": transfer_to_relatives(fitted, relatives)}

    return staged(home.stage, ["calibration"], [inputs[name].inputs_sha256 for name in names], build)


def load(
    home: Home,
    run: Run,
    inputs: Mapping[str, Staged],
    sources: Sequence[SourceFile],
    altered: Collection[str] = (),
) -> list[Change]:
    """Make the tables of the build database equal to the staged frames, those that were altered too."""
    tables = {name: file for name, file in inputs.items() if name not in _NO_TABLES}
    with open_build(home) as connection:

        def build() -> dict[str, pl.DataFrame]:
            origins = [pl.read_parquet(inputs[f"origin_{kind}"].path, glob=False) for kind in CATALOG_KINDS]
            known = read_frame(connection, "select source_id, sha256, ingested_at from core.source")
            return {"source": _source_frame(sources, pl.concat(origins), known, run.started_at)}

        tables |= staged(home.stage, ["source"], ["source", digest_of_sources(sources)], build)
        return load_tables(connection, run.run_id, tables, altered)


def check(home: Home) -> list[Rule]:
    """Hold the rules against the build database."""
    with open_build(home) as connection:
        return run_checks(connection)


def refuse_offences(rules: Sequence[Rule]) -> None:
    """Raise `RunError` where a rule does not hold."""
    broken = [rule for rule in rules if rule.offending_rows]
    if broken:
        named = ", ".join(f"{rule.name} ({rule.offending_rows} rows, as {rule.example})" for rule in broken)
        raise RunError(f"{len(broken)} of {len(rules)} rules do not hold, so nothing was published: {named}")


def write_snapshot(home: Home, run: Run) -> Path:
    """Write the snapshot that the run will publish, and return its file."""
    with open_build(home) as connection:
        time_run(connection, run.run_id)
        connection.execute("force checkpoint")  # or else the last of it may be in a file beside
    return snapshot.write_candidate(home, run.run_id)


def draw_site(
    home: Home, run: Run, candidate: Path, progress: Callable[[str], None] = lambda _: None
) -> tuple[publish.SiteReport, Draft]:
    """Write the site that the run will publish, and into the tables which charts it leaves out."""

    def record(left_out: Sequence[LeftOut]) -> None:
        if left_out:
            snapshot.change_candidate(candidate, lambda made: note_left_out(made, run.run_id, left_out))
            with open_build(home) as connection:
                note_left_out(connection, run.run_id, left_out)

    draft = begin_draft(home.site)
    try:
        report = publish.build_site(candidate, draft.new, home.site, progress, record)
        refuse_conflicts(draft.new, home.site)
    except BaseException:
        discard(draft)
        raise
    return report, draft


def promote(home: Home, run: Run, candidate: Path, inputs: Mapping[str, Staged], keep: int, draft: Draft) -> None:
    """Publish snapshot and site; forget the staged files of earlier runs, and old snapshots."""
    refuse_conflicts(draft.new, home.site)
    snapshot.promote(candidate, home, run.run_id, keep)
    place(draft)
    with suppress(OSError, duckdb.Error):  # it is published: what a full disk leaves undone here, the next run does
        with open_build(home) as connection:
            finish_run(connection, run.run_id, "succeeded")
        forget_others(home.stage, inputs.values())


def _source_frame(
    sources: Sequence[SourceFile], origins: pl.DataFrame, known: pl.DataFrame, now: datetime
) -> pl.DataFrame:
    files = pl.DataFrame(
        {
            "source_id": source.source_id,
            "kind": source.kind,
            "path": source.display_path,
            "sha256": source.sha256,
            "size_bytes": source.size_bytes,
        }
        for source in sources
    )
    return (
        files.join(origins, on="source_id", how="left", maintain_order="left")
        .join(known, on=["source_id", "sha256"], how="left", maintain_order="left")
        .with_columns(pl.col("ingested_at").fill_null(now))
    )
