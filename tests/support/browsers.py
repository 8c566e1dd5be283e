"""The browser that tests use, and its visitors."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    WebError,
    expect,
    sync_playwright,
)

CHROMIUM = ("chromium", "google-chrome")  # the first on the PATH; nothing is downloaded
REQUIRED = os.environ.get("ROOFLINES_BROWSER") == "required"
WIDE: ViewportSize = {"width": 1440, "height": 900}
MEDIUM: ViewportSize = {"width": 1024, "height": 768}
NARROW: ViewportSize = {"width": 390, "height": 844}
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def find_chromium() -> str | None:
    """Return a Chromium that can read the folders of tests; a snap cannot."""
    found = (path for name in CHROMIUM if (path := shutil.which(name)))
    return next((path for path in found if "snap" not in Path(path).resolve().parts), None)


@contextmanager
def start_browser() -> Iterator[Browser]:
    """Start a browser, or skip the test that needs it if there is none."""
    chromium = find_chromium()
    if chromium is None:
        (pytest.fail if REQUIRED else pytest.skip)("no Chromium on the PATH (on Debian: apt-get install chromium)")
    expect.set_options(timeout=20_000)  # of a busy machine
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS, chromium_sandbox=False)
        yield browser
        browser.close()


@dataclass
class Visitor:
    """Opens pages of one site, and notes what goes wrong there and what is asked of anyone else."""

    browser: Browser
    root: str  # address of the folder of the site
    troubles: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, path: str, **options: Any) -> Page:
        """Open a page as a new person; `options` are those of the context."""
        context = self.browser.new_context(**options)
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._request)
        context.on("requestfailed", self._failed)
        self.contexts.append(context)
        page = context.new_page()
        self.go(page, path)
        return page

    def go(self, page: Page, path: str) -> None:
        """Go to another page, and wait until its chart is interactive."""
        page.goto(self.root + path)
        if path.startswith("charts/"):
            page.locator("#chart svg").wait_for()
        if path.startswith("explorer/"):
            page.locator("#roofline svg").wait_for()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.troubles.append(f"console: {message.text} {message.location}")

    def _error(self, error: WebError) -> None:
        self.troubles.append(f"error: {error.error} {error.page and error.page.url}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.root, "data:", "blob:")):
            self.troubles.append(f"outside: {request.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # a picture on its way when the page was left; a download
            self.troubles.append(f"failed: {request.url} {request.failure}")


@contextmanager
def visit(browser: Browser, root: str) -> Iterator[Visitor]:
    """Visit a site; afterwards nothing may have gone wrong."""
    visitor = Visitor(browser, root)
    yield visitor
    for context in visitor.contexts:
        context.close()
    assert visitor.troubles == []


def find_violations(page: Page, rules: list[str] | None = None) -> list[str]:
    """Return what axe-core finds: the rule, its nodes, and what is wrong."""
    page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}  # files cannot be fetched
    if rules:
        options["runOnly"] = rules
    found = page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
