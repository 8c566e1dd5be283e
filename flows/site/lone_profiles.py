"""The kernels of one profile and their chart, from a database in memory: no home and no run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import duckdb
import polars as pl
from markupsafe import Markup

from charts.gallery import ChartEntry, list_charts
from charts.inks import write_dark_inks
from charts.texts import read_texts
from flows.site.chart_rows import is_drawable, query_chart
from flows.site.chart_scripts import compose_rows_script
from flows.site.drawing_processes import load_bundle
from flows.site.page_templates import read_asset, render_page
from flows.site.profile_table import TITLES, list_kernels
from flows.site.snapshot_charts import compose_sql
from warehouse.connection import WRITING
from warehouse.errors import InputError
from warehouse.load import read_core_columns
from warehouse.migrations import create_tables
from warehouse.polars_frames import ArrowStream, read_frame
from warehouse.sql_files import load_sql
from warehouse.sql_values import quote_name, quote_names
from warehouse.views import create_views_for


@contextmanager
def open_profile(tables: Mapping[str, pl.DataFrame]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory with these rows of tables of core, and the views that charts of profiles read."""
    with duckdb.connect(config=WRITING) as connection:
        connection.execute("set TimeZone = 'UTC'")
        create_tables(connection)
        known = read_core_columns(connection)
        for table, rows in tables.items():
            connection.register("given", ArrowStream(rows))
            columns = quote_names(name for name in rows.columns if name in known[table])
            connection.execute(f"insert into {quote_name('core', table)} ({columns}) select {columns} from given")
            connection.unregister("given")
        entry = find_entry("", "")
        create_views_for(connection, compose_sql(entry) + load_sql("profiles/kernels"))
        yield connection


def find_entry(profile: str, hardware_id: str) -> ChartEntry:
    """Return the gallery's chart of a profile on its device."""
    of_profile = {"profile": profile, "hardware_id": hardware_id}
    entries = list_charts({"profile": {"*": [of_profile]}, "model_id": {}, "hardware_id": {}})
    return next(entry for entry in entries if entry.parameters["marks"] == "profile")


def read_kernels(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return the kernels of the profile, those with the most headroom first."""
    return read_frame(connection, load_sql("profiles/kernels"))


def draw_profile(connection: duckdb.DuckDBPyConnection, profile: str, hardware_id: str, suffix: str) -> bytes:
    """Return the chart of a profile as `json` (Vega-Lite), `html` with a table of its kernels, `svg` or `png`.

    Raises
    ------
    InputError
        No kernel can be drawn.
    """
    from flows.site.render import build_spec, render  # noqa: PLC0415  loads Altair

    entry = find_entry(profile, hardware_id)
    frame = query_chart(connection, entry)
    if not is_drawable(frame):
        raise InputError(
            f"{profile}: no kernel has FLOP, bytes and a time, so there is no chart; leave out --out to list them"
        )
    spec = build_spec(entry, frame)
    return _write_page(spec, frame) if suffix == "html" else render(spec, suffix)


def _write_page(spec: dict[str, Any], frame: pl.DataFrame) -> bytes:
    """Return the chart and the table of its kernels as a page that needs no other file."""
    title, lines, _ = read_texts(spec)
    rows = spec["data"].pop("values")
    page = render_page(
        "profile.html.j2", title=title, lines=lines, spec=spec, kernels=list_kernels(frame), titles=TITLES,
        style=Markup(read_asset("site.css")), inks=Markup(write_dark_inks()),
        rows=Markup(compose_rows_script(rows)), bundle=_inline(load_bundle().decode()),
        script=_inline(read_asset("numbers.js", "chart.js")),
    )  # fmt: skip
    return page.encode()


def _inline(script: str) -> Markup:
    """Return a script without what would end its element, or begin a comment in it, in one of its texts."""
    return Markup(script.replace("</script", "<\\/script").replace("<!--", "<\\!--"))
