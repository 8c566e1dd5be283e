"""Feeds of the charts, those whose data changed last first: as JSON Feed 1.1 and as Atom."""

import json
from collections.abc import Sequence
from datetime import datetime
from xml.etree import ElementTree as ET

from flows.site.chart_pages import Card
from flows.site.site_pages import SitePages

FEEDS = {"feed.json": "application/feed+json", "feed.xml": "application/atom+xml"}

_TITLE = "Rooflines: charts"
_MOST = 100  # charts
_ATOM = "http://www.w3.org/2005/Atom"


def write_feeds(pages: SitePages, cards: Sequence[Card]) -> None:
    """Write both feeds of a site that knows its address.

    A chart keeps its id, and its date is that of its data: a reader sees it again when they change.
    """
    dated = [(pages.find_date(card["hardware"], [card["model_id"]]), card) for card in cards]
    newest = sorted(
        ((date, card) for date, card in dated if date), key=lambda each: (-each[0].timestamp(), each[1]["name"])
    )
    _write_json(pages, newest[:_MOST])
    _write_atom(pages, newest[:_MOST])


def _write_json(pages: SitePages, newest: Sequence[tuple[datetime, Card]]) -> None:
    items = [
        {
            "id": pages.find_address(_page(card)),
            "url": pages.find_address(_page(card)),
            "title": card["title"],
            "content_text": card["finding"],
            "image": pages.find_address(f"charts/{card['name']}/{card['name']}.png"),
            "date_modified": _write_date(date),
        }
        for date, card in newest
    ]
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": _TITLE,
        "home_page_url": pages.find_address("index.html"),
        "feed_url": pages.find_address("feed.json"),
        "items": items,
    }
    (pages.out / "feed.json").write_text(json.dumps(feed, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _write_atom(pages: SitePages, newest: Sequence[tuple[datetime, Card]]) -> None:
    feed = ET.Element("feed", {"xmlns": _ATOM})
    home = pages.find_address("index.html")
    _add(feed, title=_TITLE, id=home, updated=_write_date(newest[0][0]) if newest else "1970-01-01T00:00:00Z")
    ET.SubElement(feed, "link", {"href": home})
    ET.SubElement(feed, "link", {"rel": "self", "href": pages.find_address("feed.xml")})
    _add(ET.SubElement(feed, "author"), name="Rooflines")
    for date, card in newest:
        entry = ET.SubElement(feed, "entry")
        address = pages.find_address(_page(card))
        _add(entry, title=card["title"], id=address, updated=_write_date(date), summary=card["finding"])
        ET.SubElement(entry, "link", {"href": address})
    (pages.out / "feed.xml").write_text(ET.tostring(feed, "unicode") + "\n", "utf-8")


def _page(card: Card) -> str:
    return f"charts/{card['name']}/index.html"


def _add(parent: ET.Element, **texts: str) -> None:
    for name, text in texts.items():
        ET.SubElement(parent, name).text = text


def _write_date(date: datetime) -> str:
    return date.strftime("%Y-%m-%dT%H:%M:%SZ")
