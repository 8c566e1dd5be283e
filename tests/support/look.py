"""Screenshots of the charts of a site, to look at: wide and narrow, light and dark.

python -m tests.support.look SITE FOLDER [CHART…] writes FOLDER/CHART-1440-light.png etc., by default of every chart,
and prints what the console says.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tests.support.browsers import FLAGS, find_chromium

SIZES: dict[str, ViewportSize] = {"1440": {"width": 1440, "height": 900}, "390": {"width": 390, "height": 844}}
SCHEMES = ("light", "dark")


@contextmanager
def start_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS, chromium_sandbox=False)
        yield browser
        browser.close()


def look_at(page: Page, site: Path, chart: str, folder: Path) -> None:
    """Save a screenshot of each size and scheme; what the console says is printed."""
    page.on("console", lambda message: print(f"{chart}: {message.type}: {message.text}"))
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)
        page.goto(f"{site.resolve().as_uri()}/charts/{chart}/index.html")
        page.locator("#chart svg").wait_for()
        for scheme in SCHEMES:
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.screenshot(path=folder / f"{chart}-{size}-{scheme}.png")


def main(site: Path, folder: Path, charts: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    found = [file.parent.name for file in sorted(site.glob("charts/*/*.vl.json"))]
    with start_browser() as browser:
        for chart in charts or found:
            page = browser.new_page()
            if (site / "assets" / "rows" / f"{chart}.js").exists():  # an alias has no picture
                look_at(page, site, chart, folder)
            page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
