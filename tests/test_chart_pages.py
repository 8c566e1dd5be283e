"""The page of a chart in a browser: wide and narrow, light and dark, chosen, downloaded, printed, without scripts."""

import csv
import io
import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Page, expect

from charts import style
from charts.heat import draw_heat
from charts.inks import DARK_INKS
from flows.site.chart_scripts import write_rows_script
from flows.site.legible import write_number
from tests.support.browsers import NARROW, WIDE, Visitor, find_violations
from tests.support.look import SCHEMES
from warehouse.home import Home

STEP = "step-time-llama-3-8b-h100-sxm"
# one of each template, and paper charts with one roof and with several
CHARTS = [
    "roofline-llama-7b-a40",
    "roofline-llama-7b-h100-sxm",
    "device-h100-sxm",
    "measured-llama-7b-h100-sxm",
    "devices-fp16",
    "speculative-llama-33b-a100-80gb-pcie",
    "share-of-roof-h100-sxm",
    "predicted-times-h100-sxm",
    STEP,
    "crossover-llama-3-8b-h100-sxm",
    "throughput-llama-3-8b",
    "devices-llama-3-8b-bf16",
    "run-history",
]
LARGEST_PAGE = 1_000_000  # bytes of a page with the script of its rows; all charts share Vega's, which is not counted
HIGHEST_PICTURE = 200  # pixels from the top of the page to the picture
SMALLEST_TEXT = 9  # pixels
LEAST_CONTRAST = 4.5

# the texts of a picture that are seen: what they say, how large they are, their box, and their ink on the ground
READ_TEXTS = """() => {
    const svg = document.querySelector("#chart svg");
    const scale = svg.clientWidth / svg.viewBox.baseVal.width;
    return [...svg.querySelectorAll("text")]
        .filter((text) => text.textContent && getComputedStyle(text).visibility === "visible")
        .filter((text) => parseFloat(getComputedStyle(text).opacity) > 0)
        .map((text) => {
            const { left, right, top, bottom } = text.getBoundingClientRect();
            const { fill, fillOpacity, fontSize } = getComputedStyle(text);
            return { text: text.textContent, size: parseFloat(fontSize) * scale, left, right, top, bottom, fill,
                     opacity: parseFloat(fillOpacity), inks: text.getAttribute("fill") };
        });
}"""


def find_page(chart: str) -> str:
    return f"charts/{chart}/index.html"


def find_box(page: Page, selector: str) -> dict[str, float]:
    box: dict[str, float] = page.locator(selector).evaluate("(element) => element.getBoundingClientRect().toJSON()")
    return box


def is_overlapping(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two texts cover each other; a text may lie on its own halo."""
    if one["text"] == other["text"]:
        return False
    across: float = min(one["right"], other["right"]) - max(one["left"], other["left"])
    down: float = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
    return across > 1 and down > 3


def read_numbers(colour: str) -> list[float]:
    return [float(number) for number in re.findall(r"[\d.]+", colour)][:3]


def compute_luminance(channels: list[float]) -> float:
    """Return the relative luminance, as WCAG defines it."""
    shares = [channel / 255 for channel in channels]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def compute_contrast(one: list[float], other: list[float]) -> float:
    low, high = sorted((compute_luminance(one), compute_luminance(other)))
    return (high + 0.05) / (low + 0.05)


def read_hex(colour: str) -> list[float]:
    names = {"white": "#ffffff", "black": "#000000"}
    digits = names.get(colour, colour).removeprefix("#")
    digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    return [float(int(digits[i : i + 2], 16)) for i in (0, 2, 4)]


@pytest.mark.slow
@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_is_as_wide_as_the_page_and_readable_on_a_telephone(chart: str, disk: Visitor) -> None:
    for viewport in (WIDE, NARROW):
        page = disk.open(find_page(chart), viewport=viewport)
        picture, title = find_box(page, "#chart svg"), page.locator("h1").inner_text()
        assert picture["width"] >= viewport["width"] - 34, viewport
        assert picture["top"] <= HIGHEST_PICTURE, viewport
        assert page.evaluate("document.scrollingElement.scrollWidth") <= viewport["width"]
        texts = page.evaluate(READ_TEXTS)
        assert min(text["size"] for text in texts) >= SMALLEST_TEXT, viewport
        outside = [
            text
            for text in texts
            if text["left"] < picture["left"] - 1
            or text["right"] > picture["right"] + 1
            or text["top"] < picture["top"] - 1
        ]
        assert outside == [], viewport
        assert [text for text in texts if text["text"] == title] == []
        if viewport == NARROW:
            assert [pair for pair in combinations(texts, 2) if is_overlapping(*pair)] == []
        assert page.get_by_role("heading", name=title, exact=True).count() == 1


@pytest.mark.slow
@pytest.mark.parametrize("chart", CHARTS)
def test_the_texts_of_a_chart_have_contrast_in_both_schemes(chart: str, disk: Visitor) -> None:
    page = disk.open(find_page(chart), viewport=WIDE)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        ground = read_numbers(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        for text in page.evaluate(READ_TEXTS):
            if text["inks"] in {style.ON_DARK, style.ON_LIGHT}:
                continue  # on a coloured cell
            ink = [
                text["opacity"] * a + (1 - text["opacity"]) * b
                for a, b in zip(read_numbers(text["fill"]), ground, strict=True)
            ]
            assert compute_contrast(ink, ground) >= LEAST_CONTRAST, (scheme, text)


@pytest.mark.slow
def test_axe_finds_nothing_on_a_chart(disk: Visitor) -> None:
    page = disk.open(find_page(STEP))
    found = {}
    for chart in CHARTS:
        for viewport, scheme in ((NARROW, "light"), (WIDE, "dark")):
            page.set_viewport_size(viewport)
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            disk.go(page, find_page(chart))
            found[chart, scheme] = find_violations(page)
    assert {key: violations for key, violations in found.items() if violations} == {}


@pytest.mark.slow
def test_a_choice_is_followed_by_all_that_the_page_says_and_by_its_address(disk: Visitor) -> None:
    page = disk.open(find_page(STEP))
    before = page.locator("h1").inner_text()
    assert "context 1,024" in before
    page.get_by_label("context, tokens").select_option("8,192")
    expect(page.locator("h1")).to_contain_text("context 8,192")
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile(r"context 8,192"))
    expect(page.locator("#description")).to_contain_text("context 8,192")
    assert "1,024" not in page.locator("#caption").inner_text() + page.title()
    assert page.url.endswith("?context=8192")
    said = page.locator("h1").inner_text()

    other = disk.open(find_page(STEP) + "?context=8192")
    expect(other.locator("h1")).to_have_text(said)
    expect(other.get_by_label("context, tokens")).to_have_value("8192")
    assert other.locator("#chart svg text").all_inner_texts() == page.locator("#chart svg text").all_inner_texts()
    other.get_by_label("context, tokens").select_option("1,024")
    expect(other.locator("h1")).to_have_text(before)
    assert "?" not in other.url


@pytest.mark.slow
def test_downloads_are_of_the_view_that_is_seen(disk: Visitor, finished: Home) -> None:
    page = disk.open(find_page(STEP) + "?context=8192")
    files = {}
    for suffix in ("vl.json", "svg", "png", "csv"):
        with page.expect_download() as download:
            page.locator(f"a[data-suffix='{suffix}']").click()
        assert download.value.suggested_filename == f"{STEP}-context-8192.{suffix}"
        files[suffix] = download.value.path().read_bytes()
    spec = json.loads(files["vl.json"])
    assert {param["name"]: param["value"] for param in spec["params"] if "value" in param}["context"] == 8192
    assert "8,192" in spec["description"]
    assert "context 8,192" in files["svg"].decode()
    assert "prefers-color-scheme" in files["svg"].decode()
    assert files["png"].startswith(b"\x89PNG")
    chosen = list(csv.DictReader(io.StringIO(files["csv"].decode())))
    text = (finished.site / "charts" / STEP / f"{STEP}.csv").read_text("utf-8")
    assert chosen == [row for row in csv.DictReader(io.StringIO(text)) if row["sequence_length"] == "8192"]


@pytest.mark.slow
def test_hidden_marks_are_in_the_address_and_not_in_the_downloads(disk: Visitor) -> None:
    page = disk.open(find_page("measured-llama-7b-h100-sxm"))
    page.locator("#layers").get_by_label("predicted").uncheck()
    expect(page).to_have_url(re.compile(r"\?without=predicted$"))
    with page.expect_download() as download:
        page.locator("a[data-suffix='csv']").click()
    assert download.value.suggested_filename == "measured-llama-7b-h100-sxm-without-predicted.csv"
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8"))))
    kinds = {row["layer"] for row in rows}
    assert "measured" in kinds
    assert "predicted" not in kinds


@pytest.mark.slow
def test_without_scripts_the_picture_is_there_with_its_title_once(disk: Visitor, finished: Home) -> None:
    context = disk.browser.new_context(java_script_enabled=False, viewport=NARROW)
    disk.contexts.append(context)
    page = context.new_page()
    page.goto(disk.root + find_page(STEP))
    picture = page.locator("#chart noscript img")
    expect(picture).to_be_in_viewport()
    expect(page.locator("#still")).to_be_hidden()
    box = find_box(page, "#chart noscript img")
    assert NARROW["width"] - 34 <= box["width"] <= NARROW["width"]
    assert page.locator("h1").count() == 1
    expect(page.locator("h1")).not_to_be_in_viewport()
    assert page.locator("a[download]").count() == 5


@pytest.mark.slow
def test_a_chart_is_printed_whole_and_light(disk: Visitor, tmp_path: Path) -> None:
    page = disk.open(find_page(STEP), viewport=WIDE, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    for selector in ("header", "footer", "#choices", ".downloads", "#embed"):
        expect(page.locator(selector)).to_be_hidden()
    page.set_viewport_size({"width": 1040, "height": 720})  # A4 across
    assert find_box(page, "#chart svg")["bottom"] < 720
    inks = page.evaluate(READ_TEXTS)
    assert {text["fill"] for text in inks} <= {"rgb(0, 0, 0)", "rgb(34, 34, 34)", "rgb(107, 107, 107)"}


@pytest.mark.slow
def test_tooltips_and_tables_write_numbers_alike(disk: Visitor) -> None:
    page = disk.open(find_page(STEP))
    for unit in ("", "%", "FLOP/s", "B", "s"):
        for value in (0.1, 48250, 989.4e12, 0.000402, 0.948, 1.2e-5, 12, 999.96, 8e10, 1234.4, 0, 3.35e12):
            assert page.evaluate("([value, unit]) => legible(value, unit)", [value, unit]) == write_number(value, unit)
    page.locator("#chart svg .mark-rect.role-mark path").nth(3).hover(force=True)
    expect(page.locator("#vg-tooltip-element.visible")).to_contain_text("GB")


def test_a_page_has_its_data_once_and_is_small(finished: Home) -> None:
    for folder in sorted((finished.site / "charts").iterdir()):
        page = folder / "index.html"
        rows = finished.site / "assets" / "rows" / f"{folder.name}.js"
        if rows.exists():  # an alias has none
            assert page.stat().st_size + rows.stat().st_size < LARGEST_PAGE, folder.name
            spec = re.search(r'id="spec">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
            assert spec is not None
            assert "values" not in json.loads(spec[1])["data"]


def test_the_script_of_rows_holds_the_rows_of_the_specification(finished: Home) -> None:
    for name in CHARTS:
        text = (finished.site / "assets" / "rows" / f"{name}.js").read_text("utf-8")
        data = json.loads(text.removeprefix("window.chartRows=").removesuffix(";\n"))
        columns: dict[str, Any] = {
            column: [part["values"][code] for code in part["codes"]] if "codes" in part else part["values"]
            for column, part in data["columns"].items()
        }
        rows = [
            {column: values[i] for column, values in columns.items() if values[i] is not None}
            for i in range(data["count"])
        ]
        spec = json.loads((finished.site / "charts" / name / f"{name}.vl.json").read_text("utf-8"))
        assert rows == spec["data"]["values"], name


def test_every_ink_of_a_picture_is_known_in_dark_mode(finished: Home) -> None:
    kept = {"none", "transparent", style.ON_DARK, style.ON_LIGHT}
    for svg in sorted((finished.site / "charts").glob("*/*.svg")):
        text = svg.read_text("utf-8")
        head, body = text.split("</style>", 1)
        assert "@media screen and (prefers-color-scheme:dark)" in head, svg.name
        inks = set(re.findall(r'\b(?:fill|stroke)="([^"]+)"', body)) - kept
        assert {ink for ink in inks if not ink.startswith(("rgb(", "url("))} <= set(DARK_INKS), svg.name


def test_a_cell_of_a_heat_map_is_seen_on_a_light_and_on_a_dark_ground() -> None:
    rows = {
        "label": "out",
        "hardware": "A40",
        "least_flops": 1e6,
        "roof_fraction": 0.0,
        "kernels": 1,
        "is_above_roof": "",
    }
    cell = draw_heat(pl.DataFrame([rows])).to_dict()["layer"][0]
    edge = cell["mark"]["stroke"]
    assert compute_contrast(read_hex(edge), read_hex("white")) >= 3
    assert compute_contrast(read_hex(DARK_INKS[edge]), read_hex(DARK_INKS["white"])) >= 3
    assert cell["encoding"]["color"]["scale"]["scheme"]["extent"][0] >= 0.2  # what is below is nearly black


def test_inks_have_contrast_in_both_schemes() -> None:
    faint = {"white", style.PALE, "#ddd", "#dcdcdc", "#cccccc"}  # ground, and lines of the grid
    dark = read_hex(DARK_INKS["white"])
    for light_ink, dark_ink in DARK_INKS.items():
        if light_ink not in faint:
            assert compute_contrast(read_hex(light_ink), read_hex("white")) >= 3, light_ink
            assert compute_contrast(read_hex(dark_ink), dark) >= LEAST_CONTRAST, dark_ink
    assert set(style.COLOURS) <= set(DARK_INKS)


def test_the_style_sheet_has_the_palette(finished: Home) -> None:
    text = (finished.site / "assets" / "site.css").read_text("utf-8")
    for name in ("blue", "vermilion", "green", "purple", "orange", "sky"):
        light = getattr(style, name.upper())
        assert re.findall(rf"--{name}: (#\w+);", text) == [light, DARK_INKS[light]]


@pytest.mark.slow
def test_the_marks_of_a_seeds_chart_are_downloaded_as_chosen(disk: Visitor) -> None:
    name = "roofline-llama-7b-a40"
    page = disk.open(find_page(name) + "?marks=computed")
    expect(page.get_by_label("computed", exact=True)).to_be_checked()
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile("computed from shapes"))
    with page.expect_download() as download:
        page.locator("a[data-suffix='csv']").click()
    assert download.value.suggested_filename == f"{name}-marks-computed.csv"
    layers = {row["layer"] for row in csv.DictReader(io.StringIO(download.value.path().read_text("utf-8")))}
    assert {"bandwidth", "peak", "computed"} <= layers
    assert "predicted" not in layers


def test_the_rows_of_many_kernels_are_small(tmp_path: Path) -> None:
    """As many as the chart of predicted times takes; as objects, which name each column again, they are over 2 MB."""
    rows = [
        {
            "measurement_id": f"kernel-{i}", "label": "linear", "op": "gate_proj", "dtype": "bf16",
            "batch_size": i % 64, "latency_s": 1e-6 * (i + 1 / 3), "predicted_s": 1.1e-6 * (i + 1 / 7),
            "relative_error": 0.1 / (i + 1),
            "hardware": "H100 SXM", "source": "a source with a long name, such as a file and a version of software",
            "kernels": 4000, "median_absolute_error": 0.047, "mean_absolute_error": 0.067, "within_ten_percent": 0.8,
        }
        for i in range(4000)
    ]  # fmt: skip
    write_rows_script(tmp_path / "rows.js", rows)
    assert len(json.dumps(rows)) > 1_500_000
    assert (tmp_path / "rows.js").stat().st_size < LARGEST_PAGE / 2


def test_pages_are_written_without_loading_altair() -> None:
    code = "import sys, flows.site.build; print('altair' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
