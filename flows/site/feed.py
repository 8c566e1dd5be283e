"""Feeds of what changed on a site, the newest first: as JSON Feed 1.1 and as Atom."""

import json
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from flows.site.changes import Change
from flows.site.site_pages import SitePages

_TITLE = "Rooflines: what changed"
_ATOM = "http://www.w3.org/2005/Atom"


def write_feeds(pages: SitePages, changes: Sequence[Change]) -> None:
    """Write both feeds of a site that knows its address."""
    _write_json(pages, changes)
    _write_atom(pages, changes)


def _write_json(pages: SitePages, changes: Sequence[Change]) -> None:
    items = []
    for change in changes:
        address = pages.find_address(change.path)
        item = {"id": _name(pages, change), "url": address, "title": change.title, "content_text": change.text}
        if change.picture:
            item["image"] = pages.find_address(change.picture)
        items.append({**item, "date_published": change.date})
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": _TITLE,
        "home_page_url": pages.find_address("index.html"),
        "feed_url": pages.find_address("feed.json"),
        "items": items,
    }
    (pages.out / "feed.json").write_text(json.dumps(feed, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _write_atom(pages: SitePages, changes: Sequence[Change]) -> None:
    feed = ET.Element("feed", {"xmlns": _ATOM})
    home = pages.find_address("index.html")
    _add(feed, title=_TITLE, id=home, updated=changes[0].date if changes else "1970-01-01T00:00:00Z")
    ET.SubElement(feed, "link", {"href": home})
    ET.SubElement(feed, "link", {"rel": "self", "href": pages.find_address("feed.xml")})
    _add(ET.SubElement(feed, "author"), name="Rooflines")
    for change in changes:
        entry = ET.SubElement(feed, "entry")
        _add(entry, title=change.title, id=_name(pages, change), updated=change.date, summary=change.text)
        ET.SubElement(entry, "link", {"href": pages.find_address(change.path)})
    (pages.out / "feed.xml").write_text(ET.tostring(feed, "unicode") + "\n", "utf-8")


def _name(pages: SitePages, change: Change) -> str:
    """Return the id of a change: the address of its page, and what happened."""
    page, _, happened = change.id.partition("#")
    return f"{pages.find_address(page)}#{happened}"


def _add(parent: ET.Element, **texts: str) -> None:
    for name, text in texts.items():
        ET.SubElement(parent, name).text = text
