"""What a page says of itself where it is shared: its description, its date, and how to embed its chart."""

import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import duckdb
import polars as pl
import pytest

from flows.site.site_pages import SitePages
from flows.site.site_rows import read_site_rows
from warehouse.home import Home
from warehouse.polars_frames import read_frame
from warehouse.sql_files import load_sql

NEWEST = datetime(2026, 3, 9, tzinfo=UTC)


def read_description(page: Path) -> str:
    found = re.findall(r'<meta name="description" content="([^"]*)">', page.read_text("utf-8"))
    assert len(found) == 1, page
    return unescape(found[0])


def test_every_page_describes_itself_in_words_of_its_own(finished: Home) -> None:
    pages = sorted(finished.site.rglob("index.html"))
    said = {page: read_description(page) for page in pages}
    assert len(pages) > 200
    assert all(20 < len(text) < 500 and "<" not in text for text in said.values()), said
    others = [text for text in said.values() if not text.startswith("This chart is now part of")]
    assert len(set(others)) == len(others)


def test_the_description_of_a_model_is_the_answer_that_its_page_begins_with(finished: Home) -> None:
    page = finished.site / "models" / "llama-3-8b" / "index.html"
    lead = re.search(r'<p class="lead">(.*?)</p>', page.read_text("utf-8"), re.DOTALL)
    assert lead is not None
    answer = " ".join(unescape(re.sub("<[^>]*>", "", lead[1])).split())
    assert "the weights take 16.06 GB" in answer
    assert read_description(page) == f"Llama 3 8B. {answer}"


def test_a_page_is_dated_by_the_newest_file_about_what_it_shows(snapshot: duckdb.DuckDBPyConnection) -> None:
    """Of a chart, that is the newest of its devices and its model; of the other pages, the newest of all."""
    dates = pl.DataFrame(
        {
            "kind": ["device", "device", "model", "site"],
            "id": ["a40", "h200", "gpt2", ""],
            "changed_at": [datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 4, tzinfo=UTC),
                           datetime(2026, 1, 3, tzinfo=UTC), NEWEST],
        }
    )  # fmt: skip
    pages = SitePages(Path("unused"), dates)
    assert pages.find_date(["a40"]) == datetime(2026, 1, 2, tzinfo=UTC)
    assert pages.find_date(["a40"], ["gpt2"]) == datetime(2026, 1, 3, tzinfo=UTC)
    assert pages.find_date(["a40", "h200"], [None]) == datetime(2026, 1, 4, tzinfo=UTC)
    assert pages.find_date() == NEWEST
    known = read_frame(snapshot, load_sql("site/page_dates"))
    rows = read_site_rows(snapshot)
    assert set(known.filter(kind="device")["id"]) == set(rows.devices)
    assert set(known.filter(kind="model")["id"]) == set(rows.models)


def test_a_file_that_changes_dates_the_pages_of_its_device_and_no_other(snapshot: duckdb.DuckDBPyConnection) -> None:
    sql = load_sql("site/page_dates")
    touched = "if(path like '%/a40.toml', timestamptz '2126-01-01', ingested_at) as ingested_at"
    before = read_frame(snapshot, sql)
    after = read_frame(
        snapshot, sql.replace("join core.source", f"join (select * replace ({touched}) from core.source)")
    )
    changed = before.join(after, on=["kind", "id"]).filter(pl.col("changed_at") != pl.col("changed_at_right"))
    assert changed.select("kind", "id").rows() == [("device", "a40")]


def test_a_page_says_its_date_and_not_the_run_that_made_it(finished: Home) -> None:
    index = (finished.site / "index.html").read_text("utf-8")
    day = datetime.now(UTC)
    assert re.search(rf'<time datetime="{day.year}-\d\d-\d\d">\d{{1,2}} [A-Z][a-z]+ {day.year}</time>', index)
    assert not re.search(r"\d{8}T\d{6}", index)


@pytest.mark.parametrize("name", ["roofline-llama-7b-a40", "devices-fp16"])
def test_a_chart_can_be_embedded_as_a_picture_and_as_a_page(finished: Home, name: str) -> None:
    page = (finished.site / "charts" / name / "index.html").read_text("utf-8")
    fields = [unescape(text) for text in re.findall(r'<textarea[^>]*class="embed"[^>]*>([^<]*)<', page)]
    picture, frame = fields
    assert picture.startswith(f'<img src="{name}.svg" alt="')
    assert frame.startswith('<iframe src="index.html?embed" title="')
    assert frame.endswith("</iframe>")
