"""Screenshots of the pages of a site, to look at: wide, as a tablet has it and narrow, light and dark.

python -m tests.support.look SITE FOLDER [PAGE…] writes FOLDER/PAGE-1440-light.png etc. A page is the name of a chart,
or a path such as devices/index.html; by default all charts. What the console says is printed.
"""

import sys
from pathlib import Path

from playwright.sync_api import Page

from tests.support.browsers import MEDIUM, NARROW, WIDE, start_browser

SIZES = {"1440": WIDE, "1024": MEDIUM, "390": NARROW}
SCHEMES = ("light", "dark")


def look_at(page: Page, site: Path, name: str, folder: Path) -> None:
    """Save a screenshot of a page in each size and scheme; what the console says is printed."""
    path = name if "/" in name or name == "index.html" else f"charts/{name}/index.html"
    stem = name.removesuffix("/index.html").replace("/", "-")
    page.on("console", lambda message: print(f"{name}: {message.type}: {message.text}"))
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.goto(f"{site.resolve().as_uri()}/{path}")
            if place := {"charts": "#chart svg", "explorer": "#roofline svg"}.get(path.split("/")[0]):
                page.locator(place).wait_for()
            page.screenshot(path=folder / f"{stem}-{size}-{scheme}.png")


def main(site: Path, folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    charts = [file.stem for file in sorted(site.glob("assets/rows/*.js"))]
    with start_browser() as browser:
        for name in names or charts:
            page = browser.new_page()
            look_at(page, site, name, folder)
            page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
