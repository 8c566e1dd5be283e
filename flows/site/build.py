"""A site from a snapshot: every chart with its data, query and files, the pages, and the tables as Parquet."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flows.site.changes import log_changes
from flows.site.console import write_console
from flows.site.data_files import write_data_files, write_views
from flows.site.device_pictures import write_device_pictures
from flows.site.drawing_processes import RENDERER, Drawings, submit_bundle
from flows.site.explorer import write_explorer
from flows.site.feed import write_feeds
from flows.site.kept_rows import KeptRows
from flows.site.pages import write_assets, write_pages
from flows.site.site_charts import SiteCharts
from flows.site.site_extras import AS_BEFORE, AskedExtras, SiteExtras, find_extras, place_library
from flows.site.site_files import SiteFiles
from flows.site.site_pages import read_pages
from flows.site.site_rows import read_site_rows
from flows.site.snapshot_charts import LeftOut
from warehouse.site_folder.manifest import read_manifest
from warehouse.snapshot import open_snapshot, read_published_run
from warehouse.version import code_version

_BUNDLE = "assets/vega.js"


@dataclass(frozen=True)
class SiteReport:
    """How many charts a site has, and which were redrawn, skipped with nothing to draw, or left out for a fault."""

    charts: int
    drawn: tuple[str, ...]
    skipped: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()


def build_site(
    snapshot: Path,
    out: Path,
    previous: Path,
    progress: Callable[[str], None] = lambda _: None,
    record: Callable[[Sequence[LeftOut]], None] = lambda _: None,
    asked: AskedExtras = AS_BEFORE,
    kept: Path | None = None,
) -> SiteReport:
    """Write the site of a snapshot into the new folder `out`.

    A chart that cannot be drawn is left out.

    Parameters
    ----------
    snapshot
        The database.
    out
        Folder to make.
    previous
        Folder of the previous site, whose unchanged files are reused. It may be empty or missing.
    progress
        Called with a line about each step.
    record
        Called with the charts that were left out, before the tables of runs are written; the snapshot is closed then.
    asked
        What the site is to have beside its pages; by default what the previous one had.
    kept
        Folder of the rows that pages show, from one publication to the next; without one, every query is asked.
    """
    out.mkdir(parents=True)
    files = SiteFiles(out, previous)
    extras = find_extras(asked, files.manifest)
    if extras.console and not place_library(files, asked.library):
        extras = SiteExtras(extras.base_url)
    charts = SiteCharts(files, extras)
    # one thread a query: queries are small, and drawing uses the other cores
    with open_snapshot(snapshot, threads=1) as connection, ThreadPoolExecutor(2) as background, Drawings() as drawings:
        rows_before = KeptRows(connection, kept)
        reading = background.submit(read_site_rows, connection.cursor(), rows_before)
        writing = background.submit(write_data_files, connection.cursor(), files, of_runs=False)
        if not files.reuse(_BUNDLE, RENDERER, [_BUNDLE]):
            drawings.submit(_BUNDLE, partial(submit_bundle, out / _BUNDLE))
        charts.query_and_draw(connection, drawings, progress)
        objects = writing.result()
        write_assets(out)
        rows = reading.result()
        pages = read_pages(out, rows, extras)
        write_explorer(pages, connection, rows_before)
        failed = drawings.finish(progress, partial(charts.write_page, pages, rows))
        if _BUNDLE in failed:
            raise failed[_BUNDLE]
        charts.write_pages(pages, rows, failed)
    charts.refuse_if_all_failed()
    record(charts.left_out)
    with open_snapshot(snapshot, threads=1) as connection:
        objects += write_data_files(connection, files, of_runs=True)
        run_id, inputs_sha256 = read_published_run(connection)
        progress("writing pages")
        run = {"run": run_id, "code": code_version(), "digest of the inputs": inputs_sha256}
        parquet = {name: f"{name}.parquet" for name in objects}
        write_views(connection, out, parquet)
        if extras.console:
            progress("writing the console")
            write_console(pages, files, connection, rows, objects)
        write_pages(pages, connection, rows, list(charts.cards.values()), run, parquet)
        log = log_changes(files, connection, run_id, charts.cards, rows)
    if extras.base_url:
        write_device_pictures(files, rows)
        write_feeds(pages, log.changes)
    files.write_manifest(
        run_id=run_id,
        inputs_sha256=inputs_sha256,
        charts=list(charts.cards),
        left_out=charts.left_out,
        **extras.describe(),
        **log.describe(),
    )
    drawn = tuple(name for name in charts.drawn if name in charts.cards)
    return SiteReport(len(charts.cards), drawn, tuple(charts.skipped), tuple(charts.left_out))


def read_left_out(site: Path) -> tuple[LeftOut, ...]:
    """Return the charts that a site had to leave out."""
    return tuple(LeftOut(*map(str, chart)) for chart in read_manifest(site).get("left_out", []))
