"""What the page of a chart shows first: a still, until Vega has drawn the chart in its box; and a chart in a frame."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect

from charts.label_layout import measure_text
from tests.support.browsers import MEDIUM, NARROW, WIDE, Visitor
from tests.support.console import serve_folder
from warehouse.home import Home

SAMPLE = "Operational intensity (FLOP per byte)"
# letters an eighth wider than those of Liberation Sans, as DejaVu Sans has them: the texts that are then cut off
WIDEN = """([sample, width]) => {
    const svg = document.documentElement;
    const texts = [...svg.querySelectorAll("text")];
    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
    canvas.font = `100px ${texts[0].getAttribute("font-family")}`;
    const factor = (1.125 * width) / canvas.measureText(sample).width;
    for (const text of texts) text.style.fontSize = `${factor * parseFloat(text.getAttribute("font-size"))}px`;
    const edge = svg.getBoundingClientRect();
    return texts.filter((text) => {
        const box = text.getBoundingClientRect();
        return box.width && (box.left < edge.left - 1 || box.right > edge.right + 1);
    }).map((text) => text.textContent);
}"""
pytestmark = pytest.mark.slow

STEP = "step-time-llama-3-8b-h100-sxm"
CHARTS = ["roofline-llama-7b-a40", STEP, "share-of-roof-h100-sxm"]
# a frame that a page elsewhere has, and the whole text of what it shows
FRAME = '<body style="margin: 0"><iframe src="{url}?embed" width="{width}" height="620" style="border: 0"></iframe>'


def hold_vega(page: Page) -> list[Route]:
    """Keep Vega from a page until the routes that are returned are continued."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/assets/vega.js", hold)
    return held


def measure_box(page: Page, selector: str = "#chart") -> tuple[float, ...]:
    """Return left, top, width and height."""
    script = "(e) => { const { x, y, width, height } = e.getBoundingClientRect(); return [x, y, width, height]; }"
    return tuple(page.locator(selector).evaluate(script))


@pytest.mark.parametrize("viewport", [WIDE, MEDIUM, NARROW], ids=["wide", "medium", "narrow"])
@pytest.mark.parametrize("chart", CHARTS)
def test_a_still_is_seen_before_vega_and_the_chart_takes_its_place(
    chart: str, viewport: ViewportSize, disk: Visitor
) -> None:
    page = disk.open("predictions/index.html", viewport=viewport)
    held = hold_vega(page)
    page.goto(f"{disk.root}charts/{chart}/index.html", wait_until="commit")
    picture = page.locator("#still img")
    expect(picture).to_have_js_property("complete", value=True)
    assert picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
    shown = picture.evaluate("(image) => image.currentSrc.replace(/#.*/, '').split('/').at(-2)")
    assert shown == ("thumbnails" if viewport == NARROW else chart)  # the text of a wide picture would be too small
    before = measure_box(page)
    assert before[2] == measure_box(page, "#content")[2] - 32
    while not held:
        page.wait_for_timeout(20)
    for route in held:
        route.continue_()
    page.locator("#chart svg").wait_for()
    assert measure_box(page) == before
    assert measure_box(page, "#chart svg") == pytest.approx(before, abs=1)
    expect(page.locator("#still")).to_have_count(0)


def test_a_still_is_not_shown_of_another_choice_than_the_first(disk: Visitor) -> None:
    page = disk.open("predictions/index.html")
    held = hold_vega(page)
    page.goto(f"{disk.root}charts/{STEP}/index.html?context=8192")
    expect(page.get_by_label("context, tokens")).to_have_value("8192")
    expect(page.locator("#still")).to_be_hidden()
    page.get_by_label("context, tokens").select_option("1024")
    expect(page.locator("#still")).to_be_visible()
    page.get_by_label("context, tokens").select_option("8192")
    while not held:
        page.wait_for_timeout(20)
    held[0].continue_()
    asked = disk.open(f"charts/{STEP}/index.html?context=8192").locator("#chart svg").text_content()
    assert page.locator("#chart svg").text_content() == asked
    assert asked != disk.open(f"charts/{STEP}/index.html").locator("#chart svg").text_content()


@pytest.mark.parametrize("width", [1000, 390])
@pytest.mark.parametrize("is_served", [False, True], ids=["disk", "server"])
def test_an_embedded_chart_is_alone_and_fills_its_frame(
    is_served: bool, width: int, browser: Browser, finished: Home, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.html"
    with serve_folder(finished.site) as address:
        root = address if is_served else finished.site.as_uri() + "/"
        url = f"{root}charts/{STEP}/index.html"
        elsewhere.write_text(FRAME.format(url=url, width=width), "utf-8")
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        page.goto(elsewhere.as_uri())
        frame = page.frame_locator("iframe")
        picture = frame.locator("#chart svg")
        picture.wait_for()
        shown = {name for name in ("header", "h1", "#choices", "#chart svg", "#caption", "h2", ".downloads", "footer")
                 if frame.locator(name).first.is_visible()}  # fmt: skip
        assert shown == {"h1", "#choices", "#chart svg", "#caption"}
        box, body = picture.bounding_box(), frame.locator("body")
        assert box is not None
        assert width - 40 <= box["width"] <= width
        assert body.evaluate("() => document.scrollingElement.scrollWidth") <= width
        frame.get_by_label("context, tokens").select_option("8192")
        expect(frame.locator("h1")).to_contain_text("context 8,192")
        link = frame.locator("a:has(h1)")
        expect(link).to_have_attribute("target", "_blank")
        assert link.evaluate("(link) => link.href") == url
        page.close()


@pytest.mark.parametrize("chart", [STEP, "share-of-roof-h100-sxm"])
def test_a_frame_is_high_enough_for_the_whole_chart(chart: str, disk: Visitor) -> None:
    page = disk.open(f"charts/{chart}/index.html")
    found = re.search(r'<iframe [^>]*height="(\d+)"', page.locator("#embed-page").input_value())
    assert found
    page.set_viewport_size({"width": 760, "height": int(found[1])})
    page.goto(f"{disk.root}charts/{chart}/index.html?embed")
    page.locator("#chart svg").wait_for()
    assert page.evaluate("document.scrollingElement.scrollHeight") <= int(found[1])


def test_no_text_leaves_its_picture_in_a_wider_font(disk: Visitor, finished: Home) -> None:
    page = disk.browser.new_page(viewport=WIDE)
    outside = {}
    for picture in sorted(finished.site.glob("charts/*/*.svg")):
        page.goto(picture.as_uri())
        if found := page.evaluate(WIDEN, [SAMPLE, measure_text(SAMPLE, 100)]):
            outside[picture.stem] = found
    assert outside == {}
