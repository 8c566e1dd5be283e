"""What changed from one publication of a site to the next, which its feeds tell; the manifest keeps the last of it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import duckdb

from flows.site.chart_pages import Card
from flows.site.page_paths import device_page, model_page
from flows.site.site_files import SiteFiles
from flows.site.site_rows import SiteRows
from warehouse.rows import fetch_value

MOST = 100  # changes that are kept
_MOST_OF_A_KIND = 20  # that one publication names one by one
_UNTOLD = "This warehouse"  # the group of charts that every run changes
_CHART, _DEVICE, _MODEL = _KINDS = ("chart", "device", "model")


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes
    ----------
    id
        Path of the page that it is about, with what happened and when; never of another change.
    date
        When the run began whose results were published, in UTC, e.g. 2026-01-31T09:30:00Z.
    title, text
        What changed, and what the chart says now.
    path, picture
        The page that it is about, and its picture; of what is gone, the index and no picture.
    """

    id: str
    date: str
    title: str
    text: str
    path: str
    picture: str = ""


@dataclass(frozen=True)
class SiteLog:
    """What a manifest keeps: the names and digests of all that can change, and the last changes, newest first."""

    contents: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    changes: Sequence[Change] = ()

    def describe(self) -> dict[str, Any]:
        """Return what the manifest keeps."""
        return {"contents": self.contents, "changes": [asdict(change) for change in self.changes]}


def log_changes(
    files: SiteFiles, connection: duckdb.DuckDBPyConnection, run_id: str, cards: Mapping[str, Card], rows: SiteRows
) -> SiteLog:
    """Return the log of a new site, whose charts are written."""
    date = fetch_value(
        connection, "select strftime(started_at, '%Y-%m-%dT%H:%M:%SZ') from core.run where run_id = ?", [run_id]
    )
    had = files.manifest.get("cards", {})
    return extend_log(read_log(files.manifest), describe_contents(files.new, cards, rows), cards, had, date)


def read_log(manifest: Mapping[str, Any]) -> SiteLog:
    """Return the log in a manifest, without what is none; that of a site without one is empty."""
    contents, changes = manifest.get("contents"), manifest.get("changes")
    kept = contents if isinstance(contents, dict) and all(isinstance(part, dict) for part in contents.values()) else {}
    names = {each.name for each in fields(Change)}
    entries = [entry for entry in (changes if isinstance(changes, list) else []) if _is_entry(entry, names)]
    return SiteLog(kept, tuple(Change(**entry) for entry in entries[:MOST]))


def describe_contents(site: Path, cards: Mapping[str, Card], rows: SiteRows) -> dict[str, dict[str, str]]:
    """Return the digest of each chart's data by its name, and the name of each device and model by its id."""
    charts = {
        name: hashlib.sha256((site / "charts" / name / f"{name}.csv").read_bytes()).hexdigest()[:16]
        for name, card in cards.items()
        if card.get("group") != _UNTOLD
    }
    return {
        _CHART: charts,
        _DEVICE: {id_: row["name"] for id_, row in rows.devices.items()},
        _MODEL: {id_: row["short_name"] for id_, row in rows.models.items()},
    }


def extend_log(
    log: SiteLog,
    contents: Mapping[str, Mapping[str, str]],
    cards: Mapping[str, Card],
    earlier_cards: Mapping[str, Any],
    date: str,
) -> SiteLog:
    """Return the log of a site after a publication, which adds nothing if no content changed.

    Parameters
    ----------
    log
        That of the previous site.
    contents
        What the new site has.
    cards, earlier_cards
        What the gallery says about each chart of the new and of the previous site.
    date
        When the run began that is published, in UTC, e.g. 2026-01-31T09:30:00Z.
    """
    if not log.contents:
        numbers = {kind: len(cards if kind == _CHART else contents[kind]) for kind in _KINDS}
        counts = ", ".join(f"{number:,} {kind}{'' if number == 1 else 's'}" for kind, number in numbers.items())
        first = Change(f"index.html#published-{date}", date, "Rooflines are published", f"{counts}.", "index.html")
        return SiteLog(contents, (first, *log.changes)[:MOST])
    new = []
    for kind in _KINDS:
        had, has = log.contents.get(kind, {}), contents[kind]
        for verb, ids in _compare(had, has, is_chart=kind == _CHART):
            if len(ids) > _MOST_OF_A_KIND:
                title = f"{len(ids):,} {kind}s {verb}"
                new.append(Change(f"index.html#{kind}s-{verb}-{date}", date, title, f"{title}.", "index.html"))
                continue
            for id_ in ids:
                named = cards.get(id_) or earlier_cards.get(id_) or {} if kind == _CHART else {}
                name = named.get("title") or ((has.get(id_) or had[id_]) if kind != _CHART else id_)
                new.append(_tell(kind, id_, verb, str(name), str(named.get("finding", "")), date))
    known = {change.id for change in log.changes}
    return SiteLog(contents, (*(change for change in new if change.id not in known), *log.changes)[:MOST])


def _compare(had: Mapping[str, str], has: Mapping[str, str], *, is_chart: bool) -> Iterator[tuple[str, list[str]]]:
    """Return what happened, with the ids that it happened to; the name of a device or model is none of its data."""
    yield "added", [id_ for id_ in has if id_ not in had]
    if is_chart:
        yield "changed", [id_ for id_ in has if id_ in had and had[id_] != has[id_]]
    yield "removed", [id_ for id_ in had if id_ not in has]


def _tell(kind: str, id_: str, verb: str, name: str, finding: str, date: str) -> Change:
    page = {_CHART: f"charts/{id_}/index.html", _DEVICE: device_page(id_), _MODEL: model_page(id_)}[kind]
    is_gone = verb == "removed"
    title = f"{kind.capitalize()} {verb}: {name}"
    picture = f"charts/{id_}/{id_}.png" if kind == _CHART and not is_gone else ""
    text = finding if finding and not is_gone else f"{title}."
    return Change(f"{page}#{verb}-{date}", date, title, text, "index.html" if is_gone else page, picture)


def _is_entry(entry: Any, names: set[str]) -> bool:
    return isinstance(entry, dict) and set(entry) == names and all(isinstance(value, str) for value in entry.values())
