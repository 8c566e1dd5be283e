"""The static site: every chart with its data, query and files, and the tables as Parquet."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import duckdb
import polars as pl

from charts.gallery import ChartEntry, list_published_views
from flows.site.chart_rows import is_drawable, query_chart
from flows.site.drawing_processes import RENDERER, Drawings, submit_bundle, submit_chart
from flows.site.explorer import write_explorer
from flows.site.page_paths import is_folder_name
from flows.site.pages import (
    Card,
    ShownChart,
    SiteRows,
    read_site_rows,
    write_assets,
    write_chart_page,
    write_moved_page,
    write_pages,
)
from flows.site.snapshot_charts import (
    SHIPPED_LIST,
    SUFFIXES,
    LeftOut,
    compose_sql,
    list_bad_entries,
    list_snapshot_charts,
)
from warehouse.digest import digest_of
from warehouse.errors import InputError, RunError, explain_disk_error, one_line
from warehouse.home import Home
from warehouse.load import read_input_digests
from warehouse.polars_frames import scan_object
from warehouse.rows import fetch_column
from warehouse.site_folder.drafts import discard_draft
from warehouse.site_folder.manifest import (
    MANIFEST,
    file_size,
    list_site_files,
    read_inputs_digest,
    read_manifest,
    seal_manifest,
)
from warehouse.site_folder.placement import begin_draft, place_site
from warehouse.snapshot import find_published_run, open_snapshot, read_published_run
from warehouse.sql_files import find_sources, sql_files, sql_folder
from warehouse.version import code_version, step_code, strip_comments

_BUNDLE = "assets/vega.js"
_OF_RUNS = ("core.run", "core.run_change", "core.run_left_out")  # what a run still writes while it draws
_LITTLE = 1_000_000  # free bytes of a disk that is full; polars does not always say so
_SHOWN_PATH = 1000  # characters
_NOTHING_TO_DRAW = "no roof of the dtype, or no points at the setting"


@dataclass(frozen=True)
class SiteReport:
    """What building a site did: charts in all, those drawn anew, those without a roof to draw, those that failed."""

    charts: int
    drawn: tuple[str, ...]
    skipped: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()


class _Rebuild:
    """A site in the making, and the one before, from which unchanged files are taken over."""

    def __init__(self, new: Path, old: Path) -> None:
        self.new, self.old = new, old
        self.made_from: dict[str, str] = {}
        self._manifest = read_manifest(old)

    def forget(self, name: str) -> None:
        """Take a chart out again."""
        self.made_from.pop(name, None)
        shutil.rmtree(self.new / "charts" / name, ignore_errors=True)

    def reuse(self, name: str, digest: str, files: Iterable[str]) -> bool:
        """Link the files of the old site, where they are whole and made from the same; say whether they were."""
        self.made_from[name] = digest
        files = list(files)
        sizes = self._manifest.get("sizes", {})
        same = bool(digest) and self._manifest.get("made_from", {}).get(name) == digest
        same = same and all(file_size(self.old / file) == sizes.get(file, -1) for file in files)
        for file in files:
            target = self.new / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if same:
                _link_or_copy(self.old / file, target)
        return same


def publish_site(home: Home, site: Path, progress: Callable[[str], None] = lambda _: None) -> SiteReport:
    """Build the site of the published snapshot and put it in the place of the one before.

    Elsewhere than in the home, it is a copy of the home's site where that is up to date. Of what the place holds, only
    files of earlier sites are replaced and deleted.

    Raises
    ------
    InputError
        The place holds files of others where the site has some, is the home's own, or cannot be written.
    RunError
        The disk is full, or somebody else is publishing there.
    """
    with _explain_disk_errors(site):
        site = site.resolve()
        if site == home.site.resolve():
            with home.lock_for_writing():
                return _publish(home, site, progress, copies=False)
        _refuse_own_folders(home, site)
        return _publish(home, site, progress, copies=read_inputs_digest(home.site) == find_published_run(home)[1])


def build_site(
    snapshot: Path,
    out: Path,
    previous: Path,
    progress: Callable[[str], None] = lambda _: None,
    record: Callable[[Sequence[LeftOut]], None] = lambda _: None,
) -> SiteReport:
    """Write the site of a snapshot into the new folder `out`.

    What did not change since the site in the folder `previous` is taken over from there. A chart that cannot be drawn
    is left out.

    Parameters
    ----------
    snapshot
        The database.
    out
        Folder to make.
    previous
        Folder of an earlier site, or of nothing.
    progress
        What to tell of the work.
    record
        What to do with the charts that were left out before the tables of runs are written; the snapshot is closed.
    """
    out.mkdir(parents=True)
    rebuild = _Rebuild(out, previous)
    album = _Album()
    # one thread: queries are small, and the cores draw
    with open_snapshot(snapshot, threads=1) as connection, ThreadPoolExecutor(1) as beside, Drawings() as drawings:
        writing = beside.submit(_write_data, connection.cursor(), rebuild, of_runs=False)
        if not rebuild.reuse(_BUNDLE, RENDERER, [_BUNDLE]):
            drawings.submit(_BUNDLE, partial(submit_bundle, out / _BUNDLE))
        album.left_out += list_bad_entries(connection)
        _query_charts(connection, rebuild, album, drawings, progress)
        data = writing.result()
        write_assets(out)
        write_explorer(out, connection)
        failed = drawings.finish(progress)
        if _BUNDLE in failed:
            raise failed[_BUNDLE]
        for name, error in failed.items():
            album.leave_out(name, error, rebuild)
        known = read_site_rows(connection)
        album.write_pages(out, known, rebuild)
    album.refuse_nothing()
    record(album.left_out)
    with open_snapshot(snapshot, threads=1) as connection:
        data += _write_data(connection, rebuild, of_runs=True)
        run_id, inputs_sha256 = read_published_run(connection)
        progress("writing pages")
        run = {"run": run_id, "code": code_version(), "digest of the inputs": inputs_sha256}
        write_pages(out, connection, known, list(album.cards.values()), run, {name: f"{name}.parquet" for name in data})
    manifest = {
        "site_of": "rooflines",
        "run_id": run_id,
        "inputs_sha256": inputs_sha256,
        "charts": list(album.cards),
        "left_out": album.left_out,
        "made_from": dict(sorted(rebuild.made_from.items())),
        "sizes": {file: (out / file).stat().st_size for file in list_site_files(out)},
    }
    (out / MANIFEST).write_text(json.dumps(seal_manifest(manifest), indent=1) + "\n", "utf-8")
    drawn = [name for name in album.drawn if name in album.cards]
    return SiteReport(len(album.cards), tuple(drawn), tuple(album.skipped), tuple(album.left_out))


def read_left_out(site: Path) -> tuple[LeftOut, ...]:
    """Return the charts that a site lacks."""
    return tuple(LeftOut(*map(str, chart)) for chart in read_manifest(site).get("left_out", []))


@dataclass
class _Album:
    """The charts of a site in the making."""

    charts: list[ShownChart] = field(default_factory=list)
    cards: dict[str, Card] = field(default_factory=dict)
    drawn: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    @contextmanager
    def leaving_out(self, entry: ChartEntry, rebuild: "_Rebuild") -> Iterator[None]:
        """Leave a chart out where the block fails through its fault."""
        try:
            yield
        except (Exception, pl.exceptions.PanicException) as error:
            if _is_fault_of_home(error):
                raise
            self._leave_out(entry, _describe_fault(entry, error), rebuild)

    def leave_out(self, name: str, error: BaseException, rebuild: "_Rebuild") -> None:
        """Leave a chart out whose drawing failed."""
        entry = next(chart.entry for chart in self.charts if chart.entry.name == name)
        with self.leaving_out(entry, rebuild):
            raise error

    def write_pages(self, out: Path, known: SiteRows, rebuild: "_Rebuild") -> None:
        """Write the page of each chart; where a chart was taken in by another, one that leads there."""
        for chart in [chart for chart in self.charts if chart.entry.alias_of is None]:
            with self.leaving_out(chart.entry, rebuild):
                self.cards[chart.entry.name] = write_chart_page(out, chart, known)
        for entry in [chart.entry for chart in self.charts if chart.entry.alias_of is not None]:
            if card := self.cards.get(entry.alias_of or ""):
                write_moved_page(out, entry.name, card)
            else:
                rebuild.forget(entry.name)

    def _leave_out(self, entry: ChartEntry, reason: str, rebuild: "_Rebuild") -> None:
        self.charts = [chart for chart in self.charts if chart.entry.name != entry.name]
        self.left_out.append(LeftOut(entry.source or SHIPPED_LIST, entry.name, reason))
        rebuild.forget(entry.name)

    def refuse_nothing(self) -> None:
        """Raise `RunError` where none of the charts that were to be drawn could be: no chart is at fault then."""
        shipped = [chart for chart in self.left_out if chart.file == SHIPPED_LIST]
        if shipped and not self.cards:
            raise RunError(f"no chart could be drawn, so nothing was published: {shipped[0]}")


def _query_charts(
    connection: duckdb.DuckDBPyConnection,
    rebuild: "_Rebuild",
    album: _Album,
    drawings: Drawings,
    progress: Callable[[str], None],
) -> None:
    """Ask for the rows of every chart, and have those drawn whose rows changed."""
    entries = [entry for entry in list_snapshot_charts(connection) if entry.on_site]
    for number, entry in enumerate(entries, 1):
        progress(f"querying {entry.name} ({number} of {len(entries)})")
        with album.leaving_out(entry, rebuild):
            if not is_folder_name(entry.name):
                raise InputError("expected another name: it is too long, or some system has no file of that name")
            frame = query_chart(connection, entry)
            if not is_drawable(frame):
                if entry.source:
                    raise InputError(_NOTHING_TO_DRAW)
                album.skipped.append(entry.name)
                continue
            files = {suffix: f"charts/{entry.name}/{entry.name}.{suffix}" for suffix in SUFFIXES}
            digest = digest_of([compose_sql(entry), frame.write_csv(), step_code("flows.site.render")])
            album.charts.append(ShownChart(entry, frame))
            if not rebuild.reuse(entry.name, digest, files.values()):
                targets = {suffix: rebuild.new / file for suffix, file in files.items()}
                drawings.submit(entry.name, partial(submit_chart, entry, frame, targets))
                album.drawn.append(entry.name)


def _describe_fault(entry: ChartEntry, error: BaseException) -> str:
    """Return in one line why a chart could not be drawn, without the name that stands before it anyway."""
    said = one_line(error)
    if isinstance(error, InputError | RunError):
        return said.removeprefix(f"{entry.source}: {entry.name}: ")
    return f"{type(error).__name__}: {said}"


def _is_fault_of_home(error: BaseException) -> bool:
    """Whether an error has nothing to do with the chart at which it came: the disk is full, the snapshot damaged."""
    of_the_file = isinstance(error, duckdb.IOException | duckdb.FatalException | duckdb.InternalException)
    return of_the_file or explain_disk_error(error) is not None or "Corrupt database" in str(error)


def _publish(home: Home, site: Path, progress: Callable[[str], None], *, copies: bool) -> SiteReport:
    draft = begin_draft(site)
    try:
        report = _copy_site(home.site, draft.new) if copies else None
        if report is None:
            report = build_site(home.snapshot, draft.new, site, progress)
        place_site(draft)
    finally:
        discard_draft(draft)
    return report


def _copy_site(site: Path, new: Path) -> SiteReport | None:
    """Copy the files of a site; None where another took its place meanwhile."""
    manifest = (site / MANIFEST).read_bytes()
    try:
        for file in [*read_manifest(site).get("sizes", {}), MANIFEST]:
            (new / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(site / file, new / file)
        is_whole = read_inputs_digest(new) is not None and (site / MANIFEST).read_bytes() == manifest
    except FileNotFoundError:
        is_whole = False
    if not is_whole:
        shutil.rmtree(new, ignore_errors=True)
        return None
    return SiteReport(len(read_manifest(new).get("charts", [])), (), (), read_left_out(new))


def _refuse_own_folders(home: Home, site: Path) -> None:
    """Raise `InputError` where a site would come among the files of a home, or is no folder of its own."""
    path = home.path.resolve()
    own = [home.catalog, home.snapshots, home.stage, home.sweeps, home.incoming, home.site]
    if site in {path, site.parent} or any(site.is_relative_to(folder.resolve()) for folder in own):
        raise InputError(f"site: {site}: expected a folder of its own, as {path / 'public'}")


@contextmanager
def _explain_disk_errors(site: Path) -> Iterator[None]:
    """Say of what a disk does not let be written where that is."""
    try:
        yield
    except (InputError, RunError):
        raise
    except Exception as error:
        trouble = explain_disk_error(error)
        if trouble is None and isinstance(error, pl.exceptions.PolarsError) and _is_full(site):
            trouble = RunError("")
        if isinstance(trouble, RunError):
            raise RunError(f"site: {site}: no space on the disk; free some, then publish again") from error
        if isinstance(error, OSError):
            reason = error.strerror or one_line(error)
            path = str(site) if len(str(site)) <= _SHOWN_PATH else f"{str(site)[:_SHOWN_PATH]}…"
            raise InputError(f"site: {path}: {reason}; expected a folder that can be written") from error
        raise


def _is_full(site: Path) -> bool:
    folder = next(folder for folder in (site, *site.parents) if folder.is_dir())
    return shutil.disk_usage(folder).free < _LITTLE


def _write_data(connection: duckdb.DuckDBPyConnection, rebuild: _Rebuild, *, of_runs: bool) -> list[str]:
    """Write the published tables and views that read tables of runs, or those that do not."""
    names = []
    for name, digest in _list_published_objects(connection):
        if of_runs == _find_tables_below(name).isdisjoint(_OF_RUNS):
            continue
        file = f"data/{name}.parquet"
        if not rebuild.reuse(file, digest, [file]):
            scan_object(connection, name).sink_parquet(rebuild.new / file)
        names.append(name)
    return names


def _list_published_objects(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    """Yield the tables of core and the published views, each with the digest of its inputs.

    The digest is empty where what an object is made from is not recorded.
    """
    loaded = {f"core.{table}": digest for table, digest in read_input_digests(connection).items()}
    tables = fetch_column(connection, "select 'core.' || table_name from duckdb_tables() where schema_name = 'core'")
    for name in sorted([*list_published_views(), *tables]):
        digests = [loaded.get(table, "") for table in _find_tables_below(name)]
        yield name, digest_of([name, *_find_sql_below(name), *digests]) if all(digests) else ""


def _find_sql_below(name: str) -> Iterator[str]:
    """Yield the code of a view and of all views and functions that it reads."""
    yield from (strip_comments(path.read_text("utf-8"), ".sql") for path in sql_files("functions"))
    schema, view = name.split(".")
    if schema != "core":
        sql = (sql_folder() / "views" / schema / f"{view}.sql").read_text("utf-8")
        yield strip_comments(sql, ".sql")
        for source in find_sources(sql):
            yield from _find_sql_below(source)


def _find_tables_below(name: str) -> set[str]:
    """Return the tables that an object is made from, but for those that only a migration fills."""
    schema, view = name.split(".")
    if schema == "core":
        return {name} - {"core.phase"}
    sql = (sql_folder() / "views" / schema / f"{view}.sql").read_text("utf-8")
    return set().union(*(_find_tables_below(source) for source in find_sources(sql)))


def _link_or_copy(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except OSError:  # a disk without hard links
        shutil.copy2(old, new)
