"""The site in a browser: it loads from disk and from a server, and can be searched, read and operated by anyone."""

import re
from collections.abc import Iterator
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

import polars as pl
import pytest
from playwright.sync_api import (
    Browser,
    Locator,
    Page,
    ViewportSize,
    expect,
)

from tests.support.browsers import Visitor, find_violations, visit
from warehouse.home import Home

INDEX, DATA = "index.html", "data/index.html"
DEVICE, MODEL = "devices/h100-sxm/index.html", "models/llama-7b/index.html"
MEASURED = "measured-llama-7b-h100-sxm"
CHART = f"charts/{MEASURED}/index.html"
STEP = "charts/step-time-llama-3-8b-h100-sxm/index.html"
EXPLORER = "explorer/index.html"
KINDS_OF_PAGES = [INDEX, CHART, STEP, DEVICE, DATA, EXPLORER, "models/index.html"]
OTHERS = [f"devices/{name}/index.html" for name in ("a40", "trainium1")]
OTHERS += [f"models/{name}/index.html" for name in ("gpt2", "mixtral-8x7b")]

FIRST_PAGE = 300_000  # bytes, without pictures
WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 360, "height": 740}

pytestmark = pytest.mark.slow


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def served(finished: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the site on a server, which has more than this site."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "some").mkdir()
    (folder / "some" / "where").symlink_to(finished.site, target_is_directory=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/some/where/"
        server.shutdown()
        thread.join()


@pytest.fixture
def server(browser: Browser, served: str) -> Iterator[Visitor]:
    """A visitor to the server."""
    with visit(browser, served) as visitor:
        yield visitor


def find_broken_pictures(page: Page) -> list[str]:
    """Return the pictures that do not load, with those further down."""
    script = """() => Promise.all([...document.images].map((image) => {
        image.loading = "eager";
        return image.decode().then(() => null, () => image.src);
    }))"""
    return [picture for picture in page.evaluate(script) if picture]


def find_missing_targets(page: Page) -> list[str]:
    """Return the links of a page from disk whose file is not there."""
    script = "links => links.filter((link) => link.protocol === 'file:').map((link) => link.pathname)"
    links: list[str] = page.eval_on_selector_all("a[href]", script)
    return [link for link in set(links) if not Path(unquote(link)).is_file()]


def list_shown_cards(page: Page) -> set[str]:
    """Return the names of the charts whose cards are shown."""
    links = page.locator("#cards li:visible a").evaluate_all("links => links.map((link) => link.href)")
    return {link.split("/")[-2] for link in links}


def measure_text_colours(page: Page) -> tuple[float, float]:
    """Return the luminance of the ground of a page and of its text."""
    script = (
        "() => { const { backgroundColor, color } = getComputedStyle(document.body); return [backgroundColor, color]; }"
    )
    ground, ink = (compute_luminance(colour) for colour in page.evaluate(script))
    return ground, ink


def compute_luminance(colour: str) -> float:
    """Return the relative luminance, as WCAG defines it, of an opaque CSS colour."""
    match = re.fullmatch(r"rgb\((\d+), (\d+), (\d+)\)", colour)
    assert match, colour
    channels = [int(channel) / 255 for channel in match.groups()]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def find_focus(page: Page) -> Locator:
    return page.locator("*:focus")


def press_tab_until(page: Page, selector: str, at_most: int) -> None:
    """Tab to an element; whatever has the focus on the way must be in sight and marked."""
    for _ in range(at_most):
        page.keyboard.press("Tab")
        outline = find_focus(page).evaluate(
            "(e) => [getComputedStyle(e).outlineStyle, parseFloat(getComputedStyle(e).outlineWidth)]"
        )
        name = find_focus(page).evaluate("(element) => element.outerHTML.slice(0, 80)")
        assert outline[0] == "solid", name
        assert outline[1] >= 2, name
        expect(find_focus(page)).to_be_in_viewport()
        if page.locator(selector).first.evaluate("(element) => element === document.activeElement"):
            return
    pytest.fail(f"{selector} is not reached by {at_most} tabs")


def test_every_page_loads_from_disk(disk: Visitor, finished: Home) -> None:
    found = [*finished.site.glob("*.html"), *finished.site.glob("*/index.html"), *finished.site.glob("charts/*/*.html")]
    paths = [path.relative_to(finished.site).as_posix() for path in sorted(found)]
    assert {INDEX, CHART, DATA, "devices/index.html", "models/index.html"} <= set(paths)
    page = disk.open(INDEX)
    for path in [*paths, DEVICE, MODEL, *OTHERS]:
        disk.go(page, path)
        assert page.title(), path
        assert find_broken_pictures(page) == [], path
        assert find_missing_targets(page) == [], path
    assert disk.troubles == []


def test_every_kind_of_page_loads_below_a_folder_of_a_server(server: Visitor) -> None:
    page = server.open("")
    assert find_broken_pictures(page) == []
    page.get_by_role("link", name="Devices", exact=True).click()
    page.get_by_role("link", name="H100 SXM", exact=True).click()
    expect(page).to_have_url(server.root + DEVICE)
    page.locator(f"a[href$='{CHART}']").click()
    page.locator("#chart svg").wait_for()
    for path in [MODEL, DATA]:
        server.go(page, path)
    assert server.troubles == []


def test_a_search_finds_what_is_named_and_can_be_shared(disk: Visitor, finished: Home) -> None:
    page = disk.open(INDEX)
    cards, count = page.locator("#cards li"), page.locator("#count")
    everything = list_shown_cards(page)
    moved = {f"predicted-llama-7b-{device}" for device in ("a40", "a6000")}  # charts that others took in
    assert everything == {path.name for path in (finished.site / "charts").iterdir()} - moved
    page.get_by_label("Search").press_sequentially("H200")
    texts = cards.evaluate_all("cards => cards.map((card) => [card.checkVisibility(), card.dataset.text])")
    assert [visible for visible, _ in texts] == ["h200" in text for _, text in texts]
    found = list_shown_cards(page)
    assert {"device-h200-sxm", "roofline-llama-7b-h200-sxm"} <= found < everything
    expect(count).to_have_text(f"{len(found)} of {len(everything)} charts")
    expect(page).to_have_url(disk.root + INDEX + "#text=H200")

    other = disk.open(INDEX + "#text=H200")
    expect(other.get_by_label("Search")).to_have_value("H200")
    assert list_shown_cards(other) == found
    other.get_by_label("Phase").select_option("decode")
    other.locator("#cards li:visible a").first.click()
    other.locator("#chart svg").wait_for()
    other.go_back()
    expect(other.get_by_label("Phase")).to_have_value("decode")
    assert list_shown_cards(other) <= found

    page.get_by_label("Search").fill("no such chart")
    assert list_shown_cards(page) == set()
    expect(page.locator("#none")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(count).to_have_text(f"{len(everything)} of {len(everything)} charts")
    assert list_shown_cards(page) == everything
    expect(page).to_have_url(disk.root + INDEX)


def test_every_page_finds_charts_devices_models_and_views(disk: Visitor) -> None:
    page = disk.open(DEVICE)
    field, found = page.get_by_label("Find a chart"), page.locator("#found")
    field.press_sequentially("deepseek v3.2")
    expect(found.locator("a").first).to_have_text("DeepSeek V3.2")
    field.fill("step_time")
    expect(found.get_by_role("link", name="mart.step_time", exact=True)).to_be_visible()
    field.fill("no such thing")
    expect(found).to_have_text("Nothing found.")
    page.keyboard.press("Escape")
    expect(found).to_be_hidden()
    field.fill("mi300x")
    page.keyboard.press("ArrowDown")
    expect(find_focus(page)).to_have_text("AMD Instinct MI300X")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page).to_have_url(disk.root + "devices/mi300x/index.html")

    index = disk.open(INDEX + "#text=deepseek%20v3.2")
    expect(index.locator("#others a")).to_have_text(["DeepSeek V3.2"])
    assert disk.troubles == []


def test_a_list_is_sorted_searched_and_filtered_and_can_be_shared(disk: Visitor, finished: Home) -> None:
    page = disk.open("devices/index.html")
    rows = page.locator("#list tbody tr:visible")
    everything = rows.count()
    assert everything == len(list((finished.site / "devices").glob("*/index.html")))
    page.get_by_label("Vendor").select_option("AMD")
    amd = rows.count()
    assert 0 < amd < everything
    page.get_by_label("Search").fill("cdna 3")
    assert 0 < rows.count() < amd
    page.get_by_role("button", name="Clear").click()
    expect(rows).to_have_count(everything)

    page.get_by_role("button", name="bandwidth").click()
    cells = page.locator("#list tbody td[data-name=dram_bytes_per_s]")
    values = [float(value) for value in cells.evaluate_all("cells => cells.map((cell) => cell.dataset.value)")]
    assert values == sorted(values, reverse=True)
    heading = page.locator("th", has=page.get_by_role("button", name="bandwidth"))
    expect(heading).to_have_attribute("aria-sort", "descending")
    page.get_by_role("button", name="fp8").click()
    missing = page.locator("#list tbody td[data-name=fp8_flops_per_s]").evaluate_all(
        "cells => cells.map((c) => !c.textContent)"
    )
    assert missing == sorted(missing), "devices without a peak come last"
    page.get_by_label("Search").fill("h100")
    expect(page).to_have_url(re.compile(r"#text=h100&sort=-\d+$"))
    shared = page.url

    other = disk.open("models/index.html")
    other.get_by_label("Search").fill("deepseek")
    assert 5 < other.locator("#list tbody tr:visible").count() < 30
    other.goto(shared)
    expect(other.locator("th[aria-sort=descending]")).to_have_text("fp8")
    first = other.locator("#list tbody tr:visible a").first
    expect(first).to_contain_text("H100")
    first.click()
    expect(other.locator("h1")).to_contain_text("H100")
    assert disk.troubles == []


def test_the_explorer_draws_what_is_chosen_and_what_an_address_says(disk: Visitor) -> None:
    page = disk.open(EXPLORER)
    page.locator("#roofline svg").wait_for()
    finding = page.locator("#finding")
    before = finding.inner_text()
    page.locator("#controls select").first.select_option("llama-3.1-70b")
    expect(finding).to_contain_text("Llama 3.1 70B")
    assert finding.inner_text() != before
    expect(page).to_have_url(re.compile(r"model=llama-3\.1-70b"))
    shared, said = page.url, finding.inner_text()
    page.goto("about:blank")
    page.goto(shared)
    expect(page.locator("#finding")).to_have_text(said)
    expect(page.locator("#sql")).to_contain_text("from mart.roofline_point where")
    assert disk.troubles == []


def test_each_chart_of_devices_opens_in_the_explorer_at_its_setting(disk: Visitor, finished: Home) -> None:
    pages = [page.read_text("utf-8") for page in sorted(finished.site.glob("charts/*/index.html"))]
    addresses = {found[1] for page in pages if (found := re.search(r'href="../../(explorer/index.html#[^"]*)"', page))}
    assert len(addresses) > 12
    page = disk.open(INDEX)
    for address in sorted(addresses)[::4]:
        page.goto("about:blank")
        page.goto(disk.root + unescape(address))
        page.locator("body[data-shown=all]").wait_for()
        said = page.locator("#notes").inner_text()
        assert " is shown" not in said, address
        assert "called" not in said, address
    page.goto(disk.root + STEP)
    page.get_by_role("link", name="Open in the explorer").click()
    expect(page.locator("#finding")).to_contain_text("Llama 3 8B on H100 SXM")


def test_a_chart_is_interactive_and_its_layers_can_be_hidden(disk: Visitor) -> None:
    page = disk.open(CHART)
    marks = page.locator("#chart svg .role-mark.mark-symbol > path")
    measured, predicted = (page.locator("#layers").get_by_label(layer) for layer in ("measured", "predicted"))
    everything = marks.count()
    predicted.uncheck()
    expect(marks).not_to_have_count(everything)
    without_predicted = marks.count()
    measured.uncheck()
    expect(marks).not_to_have_count(without_predicted)
    assert everything > without_predicted > marks.count()
    measured.check()
    predicted.check()
    expect(marks).to_have_count(everything)

    marks.last.hover(force=True)  # others may lie on it
    tooltip = page.locator("#vg-tooltip-element.visible")
    expect(tooltip).to_contain_text("FLOP/byte")
    expect(tooltip).to_contain_text("share of the roof")


def test_the_marks_of_a_seeds_chart_are_chosen_beside_it(disk: Visitor) -> None:
    page = disk.open("charts/roofline-llama-7b-a6000/index.html")
    marks, said = page.locator("#chart svg .role-mark.mark-symbol > path"), page.locator("#caption")
    choices = page.locator("#choices input[type=radio]")
    expect(choices).to_have_count(2)
    expect(page.get_by_label("predicted", exact=True)).to_be_checked()
    expect(marks).to_have_count(392)
    expect(said).to_contain_text("Marks: 392 predicted by a calibrated roof")
    page.get_by_label("computed", exact=True).check()
    expect(marks).to_have_count(294)
    expect(said).to_contain_text("Marks: 294 computed from shapes, on the datasheet roof of 154.8 TFLOP/s")
    expect(said).not_to_contain_text("predicted")
    expect(page.locator("#layers")).to_be_hidden()
    assert disk.troubles == []


def test_the_context_of_a_chart_is_chosen_beside_it(disk: Visitor) -> None:
    page = disk.open(STEP)
    title, choice = page.locator("h1"), page.get_by_label("context, tokens")
    expect(choice).to_have_value("1024")
    expect(title).to_contain_text("context 1,024")
    choice.select_option(label="8,192")
    expect(title).to_contain_text("context 8,192")
    disk.go(page, CHART)
    expect(page.locator("#choices")).to_be_hidden()
    assert disk.troubles == []


def test_what_a_chart_offers_is_downloaded(server: Visitor, finished: Home) -> None:
    page = server.open(CHART)
    offered = set()
    for link in page.locator("a[download]").all():
        with page.expect_download() as download:
            link.click()
        name = download.value.suggested_filename
        assert download.value.path().read_bytes() == (finished.site / "charts" / MEASURED / name).read_bytes()
        offered.add(name.removeprefix(f"{MEASURED}."))
    assert offered == {"vl.json", "svg", "png", "csv", "sql"}


def test_every_parquet_file_of_the_data_page_opens(disk: Visitor, finished: Home) -> None:
    page = disk.open(DATA)
    links = page.locator("a[download]").evaluate_all("links => links.map((link) => link.getAttribute('href'))")
    assert links.pop(links.index("rooflines.sql"))
    assert {f"data/{link}" for link in links} == {
        path.relative_to(finished.site).as_posix() for path in finished.site.glob("data/*.parquet")
    }
    for link in links:
        assert pl.scan_parquet(finished.site / "data" / link).head(1).collect().columns, link


def test_the_dark_scheme_is_dark_and_readable(disk: Visitor) -> None:
    for scheme, is_dark in (("light", False), ("dark", True)):
        ground, ink = measure_text_colours(disk.open(INDEX, color_scheme=scheme))
        assert (ground < ink) is is_dark, scheme
        assert min(ground, ink) < 0.05, scheme
        assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 7, scheme


def test_no_page_is_wider_than_a_telephone(disk: Visitor) -> None:
    page = disk.open(INDEX, viewport=NARROW, has_touch=True, is_mobile=True)
    too_wide = {}
    for path in [*KINDS_OF_PAGES, MODEL, "devices/index.html"]:
        disk.go(page, path)
        width = page.evaluate("document.scrollingElement.scrollWidth")
        if width > NARROW["width"]:
            too_wide[path] = width
    assert too_wide == {}


def test_axe_finds_no_grave_barrier(disk: Visitor) -> None:
    page = disk.open(INDEX)
    found = {}
    for path in KINDS_OF_PAGES:
        page.set_viewport_size(NARROW)  # where most must scroll or wrap
        page.emulate_media(color_scheme="light")
        disk.go(page, path)
        found[path, "light"] = find_violations(page)
        page.set_viewport_size(WIDE)
        page.emulate_media(color_scheme="dark")
        found[path, "dark"] = find_violations(page, ["color-contrast"])  # nothing else differs
    assert {key: violations for key, violations in found.items() if violations} == {}


def test_the_index_is_operable_by_keyboard(disk: Visitor) -> None:
    page = disk.open(INDEX)
    page.keyboard.press("Tab")
    expect(find_focus(page)).to_have_text("Skip to content")
    expect(find_focus(page)).to_be_in_viewport()
    press_tab_until(page, "#filters [name=text]", 12)
    page.keyboard.type("h100")
    for name in ("device", "model", "phase", "kind"):
        press_tab_until(page, f"#filters [name={name}]", 1)
    press_tab_until(page, "#filters button", 1)
    press_tab_until(page, "#cards li:visible a", 1)
    page.keyboard.press("Enter")
    page.locator("#chart svg").wait_for()


def test_the_skip_link_leads_past_the_menu_and_keeps_the_filters(disk: Visitor) -> None:
    page = disk.open(INDEX + "#text=h200")
    found = list_shown_cards(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    press_tab_until(page, "#filters [name=text]", 1)
    expect(page.get_by_label("Search")).to_have_value("h200")
    assert list_shown_cards(page) == found


def test_the_first_page_is_small(server: Visitor) -> None:
    page = server.open("")
    script = """() => performance.getEntries()
        .filter((entry) => entry.encodedBodySize && entry.initiatorType !== "img")
        .map((entry) => [entry.name, entry.encodedBodySize])"""
    sizes = dict(page.evaluate(script))
    assert {server.root + path for path in ("", "assets/site.css", "assets/site.js")} <= set(sizes)
    assert sum(sizes.values()) < FIRST_PAGE
