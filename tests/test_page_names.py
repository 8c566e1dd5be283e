"""Ids and names that pass the checks: none of them breaks a page, a picture or a table, or takes another's place."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import duckdb
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flows.ingest.catalog import SHIPPED
from flows.ingest.document import ID_PATTERN, TEXT_PATTERN
from flows.ingest.readers.hardware import read_hardware
from flows.site.chart_rows import query_chart
from flows.site.explorer import write_explorer
from flows.site.list_pages import sketch_roof
from flows.site.page_paths import page_folder
from flows.site.page_templates import script_json
from flows.site.pages import write_pages
from flows.site.render import write_chart
from flows.site.site_pages import SitePages
from flows.site.site_rows import read_site_rows
from flows.site.snapshot_charts import find_chart
from tests.support.files import write_file
from tests.support.inputs import DEVICE, make_source
from tests.support.whole_runs import run_without_prefect, write_small_catalog
from warehouse.errors import InputError
from warehouse.files.spreadsheet import guard_text_cells
from warehouse.home import Home
from warehouse.snapshot import open_snapshot

PAGES = SitePages(Path("unused"))
ODD_IDS = ["index.html", "con", "nul.txt", "aux", "com1", "a.", "a..b", "constructor", "0", "x" * 64, "a-_.b"]
ODD_NAMES = [
    "</script><script>alert(1)</script>", "\"'`<b>&amp;&#0;", "]]><!--", "{{ 7 * 7 }}{% raw %}", "${x}\\",
    "\u202egpu\u2066", "\u200b\ufeff", "معالج", "👩‍👩‍👧", "\U0001fffe\U000e0041\ue000", "W" * 400,
    "=1+1", "a\u00a0b", "İıſ",
]  # fmt: skip
names = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), min_size=1)
names = names.filter(lambda name: len(name) <= 400 and name == name.strip() != "") | st.sampled_from(ODD_NAMES)
ids = st.from_regex(ID_PATTERN, fullmatch=True) | st.sampled_from(ODD_IDS)
some = settings(max_examples=60, deadline=None)
WINDOWS = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


class Outline(HTMLParser):
    """The tags of a page and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def parts(self) -> list[str]:
        """Return the tags, but for those whose class tells of a long text, and without the class of a short one."""
        return [tag.replace("td class", "td ") for tag in self.tags if not tag.startswith("div")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(f"{tag} {' '.join(name for name, _ in attrs)}")

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@some
@given(ids, ids)
def test_every_id_has_a_folder_of_its_own_on_any_disk(one: str, other: str) -> None:
    folder = page_folder(one)
    assert (folder == page_folder(other)) == (one == other)
    assert folder == folder.lower() != "index.html"
    assert not folder.endswith(".")
    assert not WINDOWS.fullmatch(folder)
    assert re.fullmatch(r"[a-z0-9._-]+", folder)  # nothing to escape in an address


def render_device_page(name: str) -> Outline:
    device = {"hardware_id": "mine", "name": name, "short_name": name, "vendor": name, "origin": name}
    steps = [{"model": name, "least time, ms": "1"}]
    links = {name: "../../models/mine/index.html"}
    values: Any = {
        "charts": [],
        "main": None,
        "roofs": steps,
        "conflicts": [],
        "measured": [],
        "steps": steps,
        "crossovers": steps,
    }
    return Outline(PAGES.render("devices/mine/index.html", "device.html.j2", device=device, links=links, **values))


@some
@given(names)
def test_a_page_has_the_same_parts_whatever_the_name(name: str) -> None:
    outline, plain = render_device_page(name), render_device_page("Mine")
    assert outline.parts() == plain.parts()
    assert name in outline.texts


@some
@given(names, names)
def test_two_devices_of_one_name_have_pages_of_their_own(name: str, other: str) -> None:
    rows = [{"name": name, "vendor": other}, {"name": name, "vendor": "b"}]
    shown: dict[str, Any] = {
        "title": "Devices",
        "rows": rows,
        "link": "name",
        "targets": ["a/index.html", "b/index.html"],
    }
    shown |= {"headings": {"name": "device", "vendor": "vendor"}, "choices": {"vendor": ("vendor", [other, "b"])}}
    shown["sketches"] = [sketch_roof(2e12, 3e14), None]
    text = PAGES.render("devices/index.html", "list.html.j2", **shown)
    assert re.findall(r'href="(\w/index\.html)"', text) == ["a/index.html", "b/index.html"]


@some
@given(names)
@example("\u2028</script>")
def test_data_of_a_script_stay_data(name: str) -> None:
    text = script_json({name: [name]})
    assert json.loads(text) == {name: [name]}
    assert not re.search(r"[<>&\u2028\u2029]", text)


@pytest.mark.parametrize("bad", ["a\x00", "a\x1b[31m", "a\x7f", "a\x85b", "a\ufffe", "a\uffff", "", "x" * 401])
def test_names_that_end_the_renderer_are_refused(bad: str, tmp_path: Path) -> None:
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in bad)
    text = DEVICE.replace('"Mine"', f'"{escaped}"')
    with pytest.raises(InputError, match="name"):
        read_hardware([make_source(write_file(tmp_path, "mine.toml", text), "hardware")])


@given(names)
@some
def test_names_of_other_signs_are_taken(name: str) -> None:
    assert pl.Series([name]).str.contains(TEXT_PATTERN).all()


def test_any_name_is_drawn(snapshot: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    entry = find_chart(snapshot, "device-a40")
    frame = query_chart(snapshot, entry)
    for name in [*ODD_NAMES, "\x01\x1b\x0b\ufffe\uffff"]:  # as a query can return them
        odd = frame.with_columns(pl.lit(name).alias("hardware"), pl.lit(name).alias("label"))
        files = {suffix: tmp_path / f"chart.{suffix}" for suffix in ("vl.json", "svg", "png")}
        write_chart(entry, odd, files)
        assert ET.parse(files["svg"]).getroot().tag.endswith("svg")
        assert files["png"].read_bytes().startswith(b"\x89PNG")
        json.loads(files["vl.json"].read_text("utf-8"))


def test_text_cells_are_no_formulas_and_numbers_stay() -> None:
    texts = ["=1+1", "+1", "-1", "@a", "\ta", "\ra", "a=1", "", None, "'=1"]
    frame = pl.DataFrame({"text": texts, "number": [-1.5] * 10, "whole": [-1] * 10, "none": [None] * 10})
    guarded = guard_text_cells(frame)
    assert guarded["text"].to_list() == ["'=1+1", "'+1", "'-1", "'@a", "'\ta", "'\ra", "a=1", "", None, "'=1"]
    assert guarded.drop("text").equals(frame.drop("text"))


def test_the_csv_of_a_chart_holds_no_formula(snapshot: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    entry = find_chart(snapshot, "device-a40")
    frame = query_chart(snapshot, entry).with_columns(label=pl.lit("=HYPERLINK(1)"))
    write_chart(entry, frame, {"csv": tmp_path / "chart.csv", "vl.json": tmp_path / "chart.vl.json"})
    assert set(pl.read_csv(tmp_path / "chart.csv")["label"]) == {"'=HYPERLINK(1)"}
    assert "'=HYPERLINK" not in (tmp_path / "chart.vl.json").read_text("utf-8")


def test_odd_ids_have_pages_and_the_lists_keep_theirs(tmp_path: Path) -> None:
    home, shipped = Home(tmp_path / "home"), write_small_catalog(tmp_path / "catalog")
    for id_ in ODD_IDS:
        named = DEVICE.replace('"mine"', f'"{id_}"').replace('"Mine"', f'"{id_}"')
        (home.catalog / "hardware").mkdir(parents=True, exist_ok=True)
        write_file(home.catalog / "hardware", f"{id_}.toml", named)
        (home.catalog / "models").mkdir(exist_ok=True)
        config = (SHIPPED / "models" / "llama-7b.json").read_text("utf-8")
        write_file(home.catalog / "models", f"{id_}.json", config)
    workload = (shipped / "workloads" / "small.toml").read_text("utf-8").replace('["llama-7b"]', '["llama-7b", "con"]')
    write_file(shipped / "workloads", "small.toml", workload)
    run_without_prefect(home, shipped)
    site = tmp_path / "site"
    with open_snapshot(home.snapshot) as connection:
        write_explorer(SitePages(site), connection)
        write_pages(SitePages(site), connection, read_site_rows(connection), [], {"run": "1"}, {})
    for kind, first in (("devices", "a40"), ("models", "llama-7b")):
        text = (site / kind / "index.html").read_text("utf-8")
        linked = re.findall(r'<td[^>]*><a href="([^"]+)"', text)
        assert set(linked) == {f"{page_folder(id_)}/index.html" for id_ in [first, *ODD_IDS]}
        for href in linked:
            assert "<h1>" in (site / kind / href).read_text("utf-8")
    known = (site / "assets" / "roofs.js").read_text("utf-8")
    assert '"con":"-con-"' in known
    scripts = {path.name for path in (site / "assets" / "models").iterdir()}
    assert scripts == {f"{page_folder(id_)}.js" for id_ in ["llama-7b", *ODD_IDS]}
