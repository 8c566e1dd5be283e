"""The feeds of a site, and the log of changes that they tell: one entry per change, and none if nothing changed."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree as ET

import pytest

from flows.site.changes import MOST, Change, SiteLog, describe_contents, extend_log, read_log
from flows.site.feed import write_feeds
from flows.site.site_extras import SiteExtras
from flows.site.site_pages import SitePages
from flows.site.site_rows import SiteRows
from tests.support.files import write_tree
from warehouse.home import Home
from warehouse.site_folder.manifest import read_manifest

BEFORE, NOW = "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"
CONTENTS = {"chart": {"a": "1", "b": "1"}, "device": {"a40": "NVIDIA A40"}, "model": {"gpt2": "GPT-2"}}
CARDS = {name: {"title": f"Title of {name}", "finding": f"Finding of {name}"} for name in "abc"}
LOG = SiteLog(CONTENTS, (Change("index.html#published", BEFORE, "Rooflines are published", "2 charts.", "index.html"),))


def extend(contents: dict[str, dict[str, str]], log: SiteLog = LOG, date: str = NOW) -> SiteLog:
    return extend_log(log, contents, CARDS, CARDS, date)


def test_a_first_publication_is_one_change() -> None:
    log = extend_log(SiteLog(), CONTENTS, CARDS, {}, BEFORE)
    assert [(change.id, change.text) for change in log.changes] == [
        (f"index.html#published-{BEFORE}", "3 charts, 1 device, 1 model.")
    ]


def test_an_unchanged_publication_adds_nothing() -> None:
    assert extend(CONTENTS).changes == LOG.changes


def test_each_change_of_a_publication_is_told_with_its_page_and_date() -> None:
    contents = {
        "chart": {"a": "2", "c": "1"},
        "device": {"a40": "NVIDIA A40, renamed", "con": "A device"},
        "model": {},
    }
    log = extend(contents)
    assert log.contents == contents
    assert [(change.title, change.path, change.picture) for change in log.changes] == [
        ("Chart added: Title of c", "charts/c/index.html", "charts/c/c.png"),
        ("Chart changed: Title of a", "charts/a/index.html", "charts/a/a.png"),
        ("Chart removed: Title of b", "index.html", ""),
        ("Device added: A device", "devices/-con-/index.html", ""),
        ("Model removed: GPT-2", "index.html", ""),
        ("Rooflines are published", "index.html", ""),
    ]
    assert log.changes[1].text == "Finding of a"
    assert {change.date for change in log.changes} == {NOW, BEFORE}
    assert log.changes[1].id == f"charts/a/index.html#changed-{NOW}"
    again = {**contents, "chart": {"a": "3", "c": "1"}}
    assert extend(again, log).changes == log.changes  # of one run, nothing is told twice


def test_a_change_of_many_charts_is_one_entry_and_the_log_is_bounded() -> None:
    many = {**CONTENTS, "chart": {f"chart-{n}": "1" for n in range(21)}}
    assert [change.title for change in extend(many).changes[:3]] == [
        "21 charts added", "Chart removed: Title of a", "Chart removed: Title of b",
    ]  # fmt: skip
    log = LOG
    for day in range(MOST + 5):
        log = extend({**CONTENTS, "chart": {"a": str(day)}}, log, f"2026-02-03T00:00:{day:03}Z")
    assert len(log.changes) == MOST
    assert log.changes[0].date > log.changes[-1].date > BEFORE


def test_a_log_is_read_as_it_was_kept() -> None:
    assert read_log(json.loads(json.dumps(LOG.describe()))) == LOG


@pytest.mark.parametrize(
    "manifest", [{}, {"contents": 3, "changes": "x"}, {"contents": {"chart": 1}, "changes": [{"id": 1}, 7]}]
)
def test_a_manifest_without_a_log_has_an_empty_one(manifest: dict[str, Any]) -> None:
    assert read_log(manifest) == SiteLog()


def test_the_data_of_a_chart_are_its_csv_and_charts_of_runs_are_not_told(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"charts/{name}/{name}.csv": "1" if name == "a" else "2" for name in "abc"})
    cards = {"a": {"group": "Measured"}, "b": {}, "c": {"group": "This warehouse"}}
    rows = cast("SiteRows", SimpleNamespace(devices={"a40": {"name": "NVIDIA A40"}}, models={}))
    contents = describe_contents(tmp_path, cards, rows)
    assert contents["device"] == CONTENTS["device"]
    assert list(contents["chart"]) == ["a", "b"]
    assert len(set(contents["chart"].values())) == 2


def test_a_site_keeps_what_it_has_and_what_changed(finished: Home) -> None:
    log = read_log(read_manifest(finished.site))
    assert len(log.contents["chart"]) > 15
    assert log.contents["device"]["a40"] == "NVIDIA A40"
    assert [change.title for change in log.changes] == ["Rooflines are published"]


def test_feeds_tell_changes_with_addresses(tmp_path: Path) -> None:
    pages = SitePages(tmp_path, extras=SiteExtras("https://example.org/"))
    changes = [
        Change(
            f"charts/a/index.html#changed-{NOW}",
            NOW,
            "Chart changed: <a>",
            "1 & 2",
            "charts/a/index.html",
            "charts/a/a.png",
        ),
        Change(f"charts/b/index.html#removed-{BEFORE}", BEFORE, "Chart removed: b", "Gone.", "index.html"),
    ]
    write_feeds(pages, changes)
    feed = json.loads((tmp_path / "feed.json").read_text("utf-8"))
    first = {
        "id": f"https://example.org/charts/a/#changed-{NOW}",
        "url": "https://example.org/charts/a/",
        "title": "Chart changed: <a>",
        "content_text": "1 & 2",
        "image": "https://example.org/charts/a/a.png",
        "date_published": NOW,
    }
    assert feed["items"][0] == first
    assert feed["items"][1]["url"] == "https://example.org/"
    assert "image" not in feed["items"][1]
    atom = ET.fromstring((tmp_path / "feed.xml").read_text("utf-8"))
    names = {"": "http://www.w3.org/2005/Atom"}
    assert atom.findtext("updated", namespaces=names) == NOW
    assert [entry.findtext("id", "", names) for entry in atom.iterfind("entry", names)] == [
        item["id"] for item in feed["items"]
    ]
    assert atom.findtext("entry/title", namespaces=names) == "Chart changed: <a>"
