"""The static site: every chart with its data, query and files, and the tables as Parquet."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from charts.gallery import published_views
from flows.explorer import write_explorer
from flows.gallery import SUFFIXES, chart_frame, chart_sql, gallery, is_drawable
from flows.pages import ShownChart, write_assets, write_pages
from flows.pool import RENDERER, submit_bundle, submit_chart
from warehouse.digest import digest_of
from warehouse.errors import InputError
from warehouse.exchange import exchange
from warehouse.frames import scan_object
from warehouse.home import Home
from warehouse.objects import read_names, sql_folder
from warehouse.rows import fetch_column
from warehouse.snapshot import last_published, open_snapshot, published_run
from warehouse.store import loaded_digests
from warehouse.version import code_version

_MANIFEST = "site.json"
_OWN = {_MANIFEST, "index.html", "assets", "charts", "data", "devices", "explorer", "models"}
_BUNDLE = "assets/vega.js"


@dataclass(frozen=True)
class SiteReport:
    """What building a site did: charts in all, those drawn anew, those without a roof to draw."""

    charts: int
    drawn: tuple[str, ...]
    skipped: tuple[str, ...]


class _Rebuild:
    """A site in the making, and the one before, from which unchanged files are taken over."""

    def __init__(self, new: Path, old: Path) -> None:
        self.new, self.old = new, old
        self.made_from: dict[str, str] = {}
        self._manifest = read_manifest(old)

    def takes_over(self, name: str, digest: str, files: Iterable[str]) -> bool:
        """Link the files of the old site, where they are whole and made from the same; say whether they were."""
        self.made_from[name] = digest
        files = list(files)
        sizes = self._manifest.get("sizes", {})
        same = bool(digest) and self._manifest.get("made_from", {}).get(name) == digest
        same = same and all(_size(self.old / file) == sizes.get(file, -1) for file in files)
        for file in files:
            target = self.new / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if same:
                _link(self.old / file, target)
        return same


def publish_site(home: Home, site: Path, progress: Callable[[str], None] = lambda _: None) -> SiteReport:
    """Build the site of the published snapshot and put it in the place of the one before.

    Elsewhere than in the home, it is a copy of the home's site where that is up to date.

    Raises
    ------
    InputError
        The place holds something else than a site, or cannot be written.
    """
    site = site.resolve()
    refuse_foreign_folder(site)
    is_homes = site == home.site.resolve()
    is_drawn = made_from(home.site) == last_published(home)[1]
    try:
        if is_homes:
            with home.writing():
                report = build_site(home.snapshot, home.new_site, site, progress)
                replace_site(home.new_site, site)
        else:
            site.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".rooflines-", dir=site.parent) as folder:
                new = Path(folder) / "new"
                if is_drawn:
                    shutil.copytree(home.site, new)
                    report = SiteReport(len(list((new / "charts").iterdir())), (), ())
                else:
                    report = build_site(home.snapshot, new, site, progress)
                replace_site(new, site)
    except OSError as error:
        raise InputError(f"site: {site}: {error.strerror or error}; expected a folder that can be written") from None
    return report


def build_site(
    snapshot: Path, out: Path, previous: Path, progress: Callable[[str], None] = lambda _: None
) -> SiteReport:
    """Write the site of a snapshot into the new folder `out`.

    What did not change since the site in the folder `previous` is taken over from there.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    rebuild = _Rebuild(out, previous)
    shown: list[ShownChart] = []
    drawn, skipped = [], []
    drawings: dict[Future[None], str] = {}
    # one thread: queries are small, and the cores draw
    with open_snapshot(snapshot, threads=1) as connection, ThreadPoolExecutor(1) as beside:
        writing = beside.submit(_write_data, connection.cursor(), rebuild)
        if not rebuild.takes_over(_BUNDLE, RENDERER, [_BUNDLE]):
            drawings[submit_bundle(out / _BUNDLE)] = "the renderer"
        entries = [entry for entry in gallery(connection) if entry.on_site]
        for number, entry in enumerate(entries, 1):
            progress(f"querying {entry.name} ({number} of {len(entries)})")
            frame = chart_frame(connection, entry)
            if not is_drawable(frame):
                skipped.append(entry.name)
                continue
            files = {suffix: f"charts/{entry.name}/{entry.name}.{suffix}" for suffix in SUFFIXES}
            digest = digest_of([chart_sql(entry), frame.write_csv(), code_version()])
            if not rebuild.takes_over(entry.name, digest, files.values()):
                targets = {suffix: out / file for suffix, file in files.items()}
                drawings[submit_chart(entry, frame, targets)] = entry.name
                drawn.append(entry.name)
            shown.append(ShownChart(entry, frame))
        data = writing.result()
        write_assets(out)
        write_explorer(out, connection)
        _await(drawings, progress)
        run_id, inputs_sha256 = published_run(connection)
        progress("writing pages")
        run = {"run": run_id, "code": code_version(), "digest of the inputs": inputs_sha256}
        write_pages(out, connection, shown, run, {name: f"{name}.parquet" for name in data})
    sizes = {path.relative_to(out).as_posix(): path.stat().st_size for path in sorted(out.rglob("*")) if path.is_file()}
    manifest = {
        "site_of": "rooflines",
        "inputs_sha256": inputs_sha256,
        "made_from": dict(sorted(rebuild.made_from.items())),
        "sizes": sizes,
    }
    (out / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    return SiteReport(len(shown), tuple(drawn), tuple(skipped))


def replace_site(new: Path, site: Path) -> None:
    """Put a finished site in the place of the one before, at once where the system can.

    Elsewhere there is a moment without a site.

    Raises
    ------
    InputError
        The place holds something else than a site.
    """
    refuse_foreign_folder(site)
    old = new.with_name(f"{new.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if site.exists() and exchange(new, site):
        new.rename(old)
    else:
        if site.exists():
            site.rename(old)
        new.rename(site)
    shutil.rmtree(old, ignore_errors=True)


def refuse_foreign_folder(site: Path) -> None:
    """Raise `InputError` where a site cannot take a folder's place without losing what is in it."""
    if not site.exists():
        return
    foreign = {path.name for path in site.iterdir()} - _OWN if site.is_dir() else {site.name}
    if not foreign and not read_manifest(site):
        foreign = {path.name for path in site.rglob("*") if path.is_file()}
    if foreign:
        what = ", ".join(sorted(foreign)[:3])
        raise InputError(f"site: {site}: holds {what}; expected a new or empty folder, or a site and nothing else")


def made_from(site: Path) -> str | None:
    """Return the digest of the inputs of a site; None where it is not there or lacks files."""
    manifest = read_manifest(site)
    is_whole = all(_size(site / file) == size for file, size in manifest.get("sizes", {}).items())
    return manifest.get("inputs_sha256") if is_whole else None


def read_manifest(site: Path) -> dict[str, Any]:
    """Return what a site says it was made from; nothing where there is no site."""
    try:
        manifest = json.loads((site / _MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) and manifest.get("site_of") == "rooflines" else {}


def _await(drawings: Mapping[Future[None], str], progress: Callable[[str], None]) -> None:
    """Wait until all charts are drawn, or one could not be."""
    try:
        for done, drawing in enumerate(as_completed(drawings), 1):
            drawing.result()
            progress(f"drawn {drawings[drawing]} ({done} of {len(drawings)})")
    except BaseException:
        for drawing in drawings:
            drawing.cancel()
        wait(drawings)
        raise


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _write_data(connection: duckdb.DuckDBPyConnection, rebuild: _Rebuild) -> list[str]:
    names = []
    for name, digest in _published_objects(connection):
        file = f"data/{name}.parquet"
        if not rebuild.takes_over(file, digest, [file]):
            scan_object(connection, name).sink_parquet(rebuild.new / file)
        names.append(name)
    return names


def _published_objects(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    """Yield the tables of core and the published views, each with the digest of its inputs.

    The digest is empty where what an object is made from is not recorded.
    """
    loaded = {f"core.{table}": digest for table, digest in loaded_digests(connection).items()}
    tables = fetch_column(connection, "select 'core.' || table_name from duckdb_tables() where schema_name = 'core'")
    for name in sorted([*published_views(), *tables]):
        digests = [loaded.get(table, "") for table in _tables_below(name)]
        yield name, digest_of([name, code_version(), *digests]) if all(digests) else ""


def _tables_below(name: str) -> set[str]:
    """Return the tables that an object is made from, but for those that only a migration fills."""
    schema, view = name.split(".")
    if schema == "core":
        return {name} - {"core.phase"}
    sql = (sql_folder() / "views" / schema / f"{view}.sql").read_text("utf-8")
    return set().union(*(_tables_below(source) for source in read_names(sql)))


def _link(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except OSError:  # a disk without hard links
        shutil.copy2(old, new)
