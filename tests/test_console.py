"""`rooflines publish --sql-console` and `--base-url`: what they take, and what a site then has and keeps."""

import gzip
import json
import re
from pathlib import Path

import duckdb
import pytest

from flows.cli.app import run_command
from flows.site.build import build_site
from flows.site.console_library import LIBRARY, read_library
from flows.site.site_extras import (
    AS_BEFORE,
    NO_EXTRAS,
    AskedExtras,
    SiteExtras,
    find_extras,
    place_library,
    read_extras,
)
from flows.site.site_files import SiteFiles
from flows.site.site_pages import SitePages
from tests.support.console import build_console, write_packages
from tests.support.files import write_tree
from warehouse.errors import InputError
from warehouse.home import Home
from warehouse.rows import fetch_rows

DUCKDB, ARROW = "node_modules/@duckdb/duckdb-wasm", "node_modules/apache-arrow"
BROKEN = {
    "a missing script": (f"{DUCKDB}/dist/duckdb-browser.cjs", None, "no such file; expected what `npm install"),
    "an empty script": (f"{ARROW}/Arrow.es2015.min.js", "", "0 bytes; expected 1 to 100,000,000"),
    "what is not WebAssembly": (f"{DUCKDB}/dist/duckdb-eh.wasm", "<html>", "expected WebAssembly"),
    "no JSON": (f"{DUCKDB}/package.json", "{", "expected JSON"),
    "nested JSON": (f"{DUCKDB}/package.json", "[" * 100_000, "expected JSON"),
    "a list": (f"{DUCKDB}/package.json", "[]", "name: missing; expected @duckdb/duckdb-wasm"),
    "another package": (f"{ARROW}/package.json", '{"name": "lodash"}', 'name: "lodash"; expected apache-arrow'),
    "no version": (f"{ARROW}/package.json", '{"name": "apache-arrow"}', 'version: "missing"; expected one from 17.0'),
    "an old version": (
        f"{DUCKDB}/package.json", '{"name": "@duckdb/duckdb-wasm", "version": "1.28.0"}',
        'version: "1.28.0"; expected one',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("file", "text", "said"), BROKEN.values(), ids=BROKEN)
def test_packages_that_cannot_be_used_are_one_line(tmp_path: Path, file: str, text: str | None, said: str) -> None:
    folder = write_packages(tmp_path)
    assert read_library(folder).digest == read_library(folder / "node_modules").digest
    if text is None:
        (folder / file).unlink()
    else:
        write_tree(folder, {file: text})
    with pytest.raises(InputError) as caught:
        read_library(folder)
    assert str(caught.value).startswith(f"--sql-console: {folder / file}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_option_publishes_nothing(built: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["publish", "--home", str(built.path), "--out", str(tmp_path / "out")]
    assert run_command([*place, "--sql-console", str(tmp_path / "none there")]) == 2
    assert run_command([*place, "--base-url", "example.org"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["--sql-console", "--base-url"]
    assert not (tmp_path / "out").exists()


ADDRESSES = ["", "example.org", "ftp://example.org", "https://", "https://a/?b", "https://a/#b", 'https://a/"']
ADDRESSES += ["https://a b/", "https://[a", "https://a/\n", "https://" + "a" * 500]


@pytest.mark.parametrize("bad", ADDRESSES)
def test_an_address_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(InputError, match=r"^--base-url: .*expected the address of the site"):
        read_extras(bad, None)


def test_a_site_keeps_what_it_has_until_it_is_taken_away() -> None:
    both = SiteExtras("https://example.org/a/", {"apache-arrow": "17.0.0"})
    manifest = both.describe()
    assert find_extras(AS_BEFORE, manifest) == both
    assert find_extras(AS_BEFORE, {}) == NO_EXTRAS
    assert NO_EXTRAS.describe() == {}
    assert find_extras(read_extras("https://b.example", None), manifest) == SiteExtras(
        "https://b.example/", both.console
    )
    assert find_extras(read_extras("none", None), manifest) == SiteExtras(console=both.console)
    assert find_extras(read_extras(None, "none"), manifest) == SiteExtras(both.base_url)
    assert find_extras(AS_BEFORE, {"base_url": 1, "console": []}) == NO_EXTRAS


def test_a_later_site_takes_the_packages_from_the_one_before(tmp_path: Path) -> None:
    library = read_library(write_packages(tmp_path / "npm"))
    first = SiteFiles(tmp_path / "first", tmp_path / "none")
    assert place_library(first, library)
    first.write_manifest()
    later = SiteFiles(tmp_path / "later", tmp_path / "first")
    assert place_library(later, None)
    for name in LIBRARY:
        assert (tmp_path / "later/console" / name).read_bytes() == library.files[name]
    (tmp_path / "first/console/duckdb.wasm").unlink()
    assert not place_library(SiteFiles(tmp_path / "last", tmp_path / "first"), None)


def test_the_console_has_every_view_with_its_rows_and_comments(finished: Home, tmp_path: Path) -> None:
    site = build_console(finished, tmp_path / "site", read_library(write_packages(tmp_path)))
    database = tmp_path / "rooflines.duckdb"
    database.write_bytes(gzip.decompress((site / "console/rooflines.duckdb.gz").read_bytes()))
    objects = "select schema_name || '.' || name, comment from (select schema_name, view_name as name, comment from "
    objects += "duckdb_views() union all select schema_name, table_name, comment from duckdb_tables()) "
    objects += "where schema_name in ('core', 'mart') order by all"
    columns = "select table_name, column_name, comment from duckdb_columns() where schema_name = 'core' order by all"
    rows = "select columns('_id|phase|convention|_size|_length|parallel|bound$'), format('{:.9e}', lower_bound_s) "
    rows += "from mart.step_time where hardware_id = 'a40' order by all"
    history = "select run_id, seconds from mart.run_history"
    with (
        duckdb.connect(str(database), read_only=True) as made,
        duckdb.connect(str(finished.snapshot), read_only=True) as snapshot,
    ):
        for sql in (objects, columns, rows, history):
            assert fetch_rows(made, sql) == fetch_rows(snapshot, sql), sql
        assert len(fetch_rows(made, objects)) > 60
    known = json.loads(
        (site / "console/known.js").read_text("utf-8").removeprefix("window.known = ").removesuffix(";\n")
    )
    assert len(known["objects"]) > 60
    assert {"name", "asks", "sql"} == set(known["questions"][0])


def test_a_site_without_an_address_names_none(finished: Home) -> None:
    page = (finished.site / "index.html").read_text("utf-8")
    assert "og:" not in page
    assert "canonical" not in page
    assert "console/" not in page
    assert not list(finished.site.glob("feed.*"))


def test_a_page_of_a_site_with_an_address_names_it_and_its_picture(tmp_path: Path) -> None:
    pages = SitePages(tmp_path, extras=SiteExtras("https://example.org/roofs/"))
    chart = {"name": "a", "title": 'Of "A" & <b>'}
    page = pages.render("charts/a/index.html", "moved.html.j2", picture="charts/a/a.png", name="old", chart=chart)
    assert '<link rel="canonical" href="https://example.org/roofs/charts/a/">' in page
    told = dict(re.findall(r'<meta property="og:(\w+)" content="([^"]*)">', page))
    assert told["title"] == "Of &#34;A&#34; &amp; &lt;b&gt; · Rooflines"
    assert told["description"] == "This chart is now part of Of &#34;A&#34; &amp; &lt;b&gt;."
    assert told["image"] == "https://example.org/roofs/charts/a/a.png"


@pytest.mark.slow
def test_an_address_and_a_console_are_named_by_every_page_also_of_charts_that_did_not_change(
    finished: Home, tmp_path: Path
) -> None:
    library = read_library(write_packages(tmp_path))
    asked = AskedExtras("https://example.org/", library)
    report = build_site(finished.snapshot, tmp_path / "first", finished.site, asked=asked)
    assert report.drawn == ()
    build_site(finished.snapshot, tmp_path / "later", tmp_path / "first")
    for site in (tmp_path / "first", tmp_path / "later"):
        assert (site / "console/duckdb.wasm").read_bytes() == library.files["duckdb.wasm"]
        for page in site.rglob("index.html"):
            text, path = page.read_text("utf-8"), page.parent.relative_to(site).as_posix()
            assert f'rel="canonical" href="https://example.org/{"" if path == "." else f"{path}/"}"' in text
            assert 'console/index.html"' in text
            for picture in re.findall('property="og:image" content="https://example.org/([^"]*)"', text):
                assert (site / picture).is_file(), page
        device = (site / "devices/a40/index.html").read_text("utf-8")
        assert 'property="og:image" content="https://example.org/devices/a40/roofline.png"' in device
        model = (site / "models/llama-7b/index.html").read_text("utf-8")
        assert 'property="og:image" content="https://example.org/charts/' in model
    feeds = [(tmp_path / site / "feed.json").read_text("utf-8") for site in ("first", "later")]
    assert feeds[0] == feeds[1]  # nothing changed
    assert '"title": "Rooflines are published"' in feeds[0]
