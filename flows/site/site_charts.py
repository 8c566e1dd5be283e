"""The charts of a new site. A chart that cannot be published is left out with a reason; the others are not affected."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import duckdb
import polars as pl

from charts.gallery import ChartEntry
from flows.site.chart_inputs import ChartInputs
from flows.site.chart_pages import Card, ShownChart, write_chart_page, write_moved_page
from flows.site.chart_rows import ChartRows, is_drawable
from flows.site.drawing_processes import Drawings, submit_chart
from flows.site.page_paths import is_folder_name
from flows.site.site_extras import NO_EXTRAS, SiteExtras
from flows.site.site_files import SiteFiles
from flows.site.site_pages import SitePages
from flows.site.site_rows import SiteRows
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
from warehouse.version import step_code

_OF_INGESTED = ("copies", "engines")  # templates of what some homes have ingested: the others miss nothing
_NOTHING_TO_DRAW = "no roof of the dtype, or no points at the setting"


class SiteCharts:
    """The charts of a new site, from their queries to their pages.

    Attributes
    ----------
    cards
        What the gallery says about each published chart, by name.
    drawn
        Names of the charts that are redrawn.
    skipped
        Names of shipped charts that have no roof or no points to draw.
    left_out
        Charts that cannot be published, with the reason.
    """

    def __init__(self, files: SiteFiles, extras: SiteExtras = NO_EXTRAS) -> None:
        self.cards: dict[str, Card] = {}
        self.drawn: list[str] = []
        self.skipped: list[str] = []
        self.left_out: list[LeftOut] = []
        self._files, self._extras = files, extras
        self._charts: dict[str, ShownChart] = {}
        self._names: list[str] = []
        self._moved: list[ChartEntry] = []  # aliases whose page is that of the previous site
        self._digests: dict[str, str] = {}

    def query_and_draw(
        self, connection: duckdb.DuckDBPyConnection, drawings: Drawings, progress: Callable[[str], None]
    ) -> None:
        """Query the rows of every chart that could have changed, and submit those to be drawn whose rows changed."""
        self.left_out += list_bad_entries(connection)
        entries = [entry for entry in list_snapshot_charts(connection) if entry.on_site]
        self._names = [entry.name for entry in entries]
        inputs = ChartInputs(connection)
        made_from = {entry.name: inputs.digest(entry) for entry in entries}
        for entry in entries:
            if entry.alias_of is not None:  # its page says what the page of its chart says
                both = [made_from[entry.name], made_from.get(entry.alias_of, "")]
                made_from[entry.name] = digest_of(both) if all(both) else ""
        changed = [entry for entry in entries if not self._reuse(entry, made_from[entry.name])]
        rows = ChartRows(connection, changed)
        for number, entry in enumerate(changed, 1):
            progress(f"querying {entry.name} ({number} of {len(changed)})")
            with self._leave_out_on_error(entry):
                self._query_and_draw_one(entry, rows, drawings)

    def write_page(self, pages: SitePages, rows: SiteRows, name: str) -> None:
        """Write the page of a chart whose files are drawn."""
        chart = self._charts.get(name)
        if chart and chart.entry.alias_of is None:
            with self._leave_out_on_error(chart.entry):
                written = write_chart_page(pages, chart, rows)
                self._files.note_card(name, self._digests[name], written)
                self.cards[name] = written

    def write_pages(self, pages: SitePages, rows: SiteRows, failed: Mapping[str, BaseException]) -> None:
        """Write the page of each chart that has none yet, but leave out those whose drawing `failed`.

        An alias gets a page that leads to its chart.
        """
        for chart in list(self._charts.values()):
            with self._leave_out_on_error(chart.entry):
                if chart.entry.name in failed:
                    raise failed[chart.entry.name]
        for name in [name for name in self._charts if name not in self.cards]:
            self.write_page(pages, rows, name)
        self.cards = {name: self.cards[name] for name in self._names if name in self.cards}
        for entry in [chart.entry for chart in self._charts.values() if chart.entry.alias_of is not None]:
            if card := self.cards.get(entry.alias_of or ""):
                write_moved_page(pages, entry.name, card)
                self._files.note_card(entry.name, self._digests[entry.name], card)
            else:
                self._files.remove_chart(entry.name)
        for entry in self._moved:
            if entry.alias_of not in self.cards:
                self._files.remove_chart(entry.name)

    def refuse_if_all_failed(self) -> None:
        """Raise `RunError` if shipped charts failed and no chart is left: then the fault is not a chart's."""
        shipped = [chart for chart in self.left_out if chart.file == SHIPPED_LIST]
        if shipped and not self.cards:
            raise RunError(f"no chart could be drawn, so nothing was published: {shipped[0]}")

    def _reuse(self, entry: ChartEntry, made_from: str) -> bool:
        """Take a chart and its page from the previous site if they were made from the same; say whether they were."""
        digest = made_from and digest_of([made_from, self._extras.said_by_pages])
        if is_folder_name(entry.name) and (card := self._files.reuse_chart(entry.name, digest)):
            if entry.alias_of is None:
                self.cards[entry.name] = card
            else:
                self._moved.append(entry)
            return True
        self._digests[entry.name] = digest
        return False

    def _query_and_draw_one(self, entry: ChartEntry, rows: ChartRows, drawings: Drawings) -> None:
        if not is_folder_name(entry.name):
            raise InputError("expected another name: it is too long, or not a valid file name on some system")
        frame = rows.query(entry)
        if not is_drawable(frame):
            if entry.source:
                raise InputError(_NOTHING_TO_DRAW)
            if entry.template not in _OF_INGESTED:
                self.skipped.append(entry.name)
            return
        self._charts[entry.name] = ShownChart(entry, frame)
        files = {suffix: f"charts/{entry.name}/{entry.name}.{suffix}" for suffix in SUFFIXES}
        files["thumbnail"] = f"assets/thumbnails/{entry.name}.svg"
        sql = compose_sql(entry)
        digest = digest_of([sql, frame.write_csv(), step_code("flows.site.render")])
        if not self._files.reuse(entry.name, digest, files.values()):
            targets = {suffix: self._files.new / file for suffix, file in files.items()}
            targets.pop("sql").write_text(sql, "utf-8")
            drawings.submit(entry.name, partial(submit_chart, entry, frame, targets))
            self.drawn.append(entry.name)

    @contextmanager
    def _leave_out_on_error(self, entry: ChartEntry) -> Iterator[None]:
        """Leave a chart out if the block fails, unless the failure has nothing to do with the chart."""
        try:
            yield
        except (Exception, pl.exceptions.PanicException) as error:
            if _is_fault_of_home(error):
                raise
            self._charts.pop(entry.name, None)
            self.left_out.append(LeftOut(entry.source or SHIPPED_LIST, entry.name, _describe_fault(entry, error)))
            self._files.remove_chart(entry.name)


def _describe_fault(entry: ChartEntry, error: BaseException) -> str:
    """Return in one line why a chart cannot be published, without file and name, which `LeftOut` names anyway."""
    line = one_line(error)
    if isinstance(error, InputError | RunError):
        return line.removeprefix(f"{entry.source}: {entry.name}: ")
    return f"{type(error).__name__}: {line}"


def _is_fault_of_home(error: BaseException) -> bool:
    """Return whether an error would hit any chart: the disk is full, or the snapshot is damaged."""
    is_of_file = isinstance(error, duckdb.IOException | duckdb.FatalException | duckdb.InternalException)
    return is_of_file or explain_disk_error(error) is not None or "Corrupt database" in str(error)
