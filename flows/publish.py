"""Views into charts, and charts into a static site."""

import hashlib
import json
import os
import shutil
import string
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import duckdb
import polars as pl
import vl_convert
from altair.utils.schemapi import debug_mode
from jinja2 import Environment, PackageLoader, StrictUndefined

from charts.gallery import TEMPLATES, ChartEntry, list_charts
from flows.ingest.catalog import digest_of
from warehouse.errors import InputError
from warehouse.frames import read_frame
from warehouse.home import Home
from warehouse.objects import read_names, sql_folder
from warehouse.snapshot import open_snapshot
from warehouse.store import literal
from warehouse.version import code_version

_VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
_MANIFEST = "site.json"
_SUFFIXES = ("vl.json", "svg", "png", "csv", "sql")


@dataclass(frozen=True)
class SiteReport:
    """What building a site did."""

    charts: int
    drawn: tuple[str, ...]
    skipped: tuple[str, ...]


def build_site(
    snapshot: Path, out: Path, previous: Path, progress: Callable[[str], None] = lambda _: None
) -> SiteReport:
    """Write the site of a snapshot into the new folder `out`.

    What did not change since the site in the folder `previous` is taken over from there.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    known: dict[str, str] = read_manifest(previous).get("made_from", {})
    made_from: dict[str, str] = {}
    pages: list[dict[str, Any]] = []
    drawn, skipped = [], []
    with open_snapshot(snapshot) as connection:
        for entry in gallery(connection):
            sql = chart_sql(entry)
            frame = read_frame(connection, sql)
            if frame.filter(pl.col("layer").is_in(["peak", "roof"])).is_empty():
                skipped.append(entry.name)
                continue
            csv = frame.write_csv()
            folder = f"charts/{entry.name}"
            made_from[folder] = digest_of([sql, csv, code_version()])
            if known.get(folder) == made_from[folder] and _take_over(previous / folder, out / folder, entry.name):
                spec = json.loads((out / folder / f"{entry.name}.vl.json").read_text("utf-8"))
            else:
                progress(f"drawing {entry.name}")
                spec = chart_spec(entry, frame)
                _write_chart(out / folder, entry.name, spec, csv, sql)
                drawn.append(entry.name)
            page = {"name": entry.name, "sql": sql, "title": spec["title"]["text"], "description": spec["description"]}
            _write_page(out / folder / "index.html", "chart.html.j2", chart=page)
            pages.append(page)
        for name, digest in _published_objects(connection):
            file = f"data/{name}.parquet"
            made_from[file] = digest
            if not (digest and known.get(file) == digest and _link(previous / file, out / file)):
                (out / "data").mkdir(exist_ok=True)
                rows = read_frame(connection, f"select * from {name}")
                rows.sort(name for name, dtype in rows.schema.items() if not dtype.is_nested()).write_parquet(out / file)
        run = connection.sql("select run_id, inputs_sha256, code_version from core.run where status = 'succeeded' order by run_id desc limit 1").fetchone()  # fmt: skip
    data = sorted(path.name for path in (out / "data").iterdir())
    _write_page(out / "index.html", "index.html.j2", charts=pages, data=data, run_id=run and run[0])
    manifest = {"inputs_sha256": run and run[1], "made_from": made_from}
    (out / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    return SiteReport(len(pages), tuple(drawn), tuple(skipped))


def publish_site(home: Home, site: Path, progress: Callable[[str], None] = lambda _: None) -> SiteReport:
    """Build the site of the published snapshot and put it in the place of the one before."""
    with home.writing() if site == home.site else nullcontext():
        report = build_site(home.snapshot, beside(site), site, progress)
        replace_site(beside(site), site)
    return report


def replace_site(new: Path, site: Path) -> None:
    """Put a finished site in the place of the one before.

    Raises
    ------
    InputError
        The place holds something else than a site.
    """
    refuse_foreign_folder(site)
    old = site.with_name(f"{site.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    site.parent.mkdir(parents=True, exist_ok=True)
    if site.exists():
        site.rename(old)
    new.rename(site)
    shutil.rmtree(old, ignore_errors=True)


def beside(site: Path) -> Path:
    """Return the folder that a new site is built in, on the same disk as the one it will replace."""
    return site.with_name(f"{site.name}.new")


def refuse_foreign_folder(site: Path) -> None:
    """Raise `InputError` where a site cannot take a folder's place without losing what is in it."""
    if site.exists() and (not site.is_dir() or (any(site.iterdir()) and not (site / _MANIFEST).exists())):
        raise InputError(f"--out: {site}: holds something else; expected a new or empty folder, or an earlier site")


def read_manifest(site: Path) -> dict[str, Any]:
    """Return what a site says it was made from; nothing where there is no site."""
    try:
        manifest: dict[str, Any] = json.loads((site / _MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest


def gallery(connection: duckdb.DuckDBPyConnection) -> list[ChartEntry]:
    """Return the charts that a snapshot can show."""
    known = {
        "model_id": [row[0] for row in connection.sql("select model_id from core.model order by 1").fetchall()],
        "hardware_id": [row[0] for row in connection.sql("select hardware_id from core.hardware order by 1").fetchall()],
    }
    return list_charts(known)


def find_chart(connection: duckdb.DuckDBPyConnection, name: str) -> ChartEntry:
    """Return the chart of a name, or raise `InputError` with the nearest names."""
    entries = {entry.name: entry for entry in gallery(connection)}
    if name not in entries:
        near = ", ".join(get_close_matches(name, entries, n=3, cutoff=0.3) or sorted(entries)[:3])
        raise InputError(f"chart: {name}: no such chart; expected a name that `rooflines chart` lists, as {near}")
    return entries[name]


def chart_sql(entry: ChartEntry) -> str:
    """Return the query of a chart, its parameters written out."""
    template = string.Template((sql_folder() / "charts" / f"{entry.template}.sql").read_text("utf-8"))
    return template.substitute({name: literal(value) for name, value in entry.parameters.items()})


def chart_spec(entry: ChartEntry, frame: pl.DataFrame) -> dict[str, Any]:
    """Return the Vega-Lite specification of a chart."""
    with debug_mode(False):  # the tests validate; here it would take half of the time
        spec: dict[str, Any] = TEMPLATES[entry.template](frame).to_dict(validate=False)
    return spec


def render(spec: dict[str, Any], suffix: str) -> bytes:
    """Return a chart as `json` (Vega-Lite), `html`, `svg` or `png`."""
    if suffix == "json":
        return (json.dumps(spec, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()
    if suffix == "html":
        return vl_convert.vegalite_to_html(spec, vl_version=_VEGA_LITE, bundle=True).encode()
    svg = vl_convert.vegalite_to_svg(spec, vl_version=_VEGA_LITE)
    return svg.encode() if suffix == "svg" else vl_convert.svg_to_png(svg, scale=2)


def _write_chart(folder: Path, name: str, spec: dict[str, Any], csv: str, sql: str) -> None:
    folder.mkdir(parents=True)
    svg = render(spec, "svg")
    contents = (render(spec, "json"), svg, vl_convert.svg_to_png(svg.decode(), scale=2), csv.encode(), sql.encode())
    for suffix, content in zip(_SUFFIXES, contents, strict=True):
        (folder / f"{name}.{suffix}").write_bytes(content)


def _take_over(old: Path, new: Path, name: str) -> bool:
    return all([_link(old / f"{name}.{suffix}", new / f"{name}.{suffix}") for suffix in _SUFFIXES])


def _link(old: Path, new: Path) -> bool:
    new.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(old, new)
    except FileNotFoundError:
        return False
    except OSError:
        shutil.copy2(old, new)
    return True


def _published_objects(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    """Yield the tables of core and the views that charts read, each with the digest of its inputs.

    The digest is empty where what an object is made from is not recorded.
    """
    last = "select table_name, arg_max(inputs_sha256, run_id) from core.run_change group by table_name"
    loaded = {f"core.{table}": digest for table, digest in connection.sql(last).fetchall()}
    charted = {name for path in (sql_folder() / "charts").glob("*.sql") for name in read_names(path.read_text("utf-8"))}
    tables = connection.sql("select 'core.' || table_name from duckdb_tables() where schema_name = 'core'").fetchall()
    for name in sorted({table for (table,) in tables} | {name for name in charted if name.startswith("mart.")}):
        digests = [loaded.get(table) for table in _tables_below(name)]
        yield name, "" if None in digests else digest_of([name, code_version(), *filter(None, digests)])


def _tables_below(name: str) -> set[str]:
    schema, object_name = name.split(".")
    if schema == "core":
        return {name} - {"core.phase"}
    sql = (sql_folder() / "views" / schema / f"{object_name}.sql").read_text("utf-8")
    return set().union(*(_tables_below(source) for source in read_names(sql)))


def _write_page(path: Path, template: str, **values: Any) -> None:
    path.write_text(_pages().get_template(template).render(**values), "utf-8")


@cache
def _pages() -> Environment:
    return Environment(loader=PackageLoader("charts", "pages"), autoescape=True, undefined=StrictUndefined)
