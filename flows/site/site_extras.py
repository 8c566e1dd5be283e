"""What a site has if it is asked for: the address that it is published at, and a console for SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flows.site.console_library import LIBRARY, ConsoleLibrary, read_library
from flows.site.site_files import SiteFiles
from warehouse.errors import InputError

NONE = "none"  # takes away what the site has
CONSOLE = "console"  # the folder, and what the manifest calls it
CONSOLE_PAGE = f"{CONSOLE}/index.html"
_LONGEST = 500


@dataclass(frozen=True)
class AskedExtras:
    """What is asked for; None: as the site has it already."""

    base_url: str | None = None
    library: ConsoleLibrary | None = None
    drops_console: bool = False


AS_BEFORE = AskedExtras()


@dataclass(frozen=True)
class SiteExtras:
    """What a site has: its address, which ends in a slash, and the versions of the console's packages; empty: none."""

    base_url: str = ""
    console: Mapping[str, str] | None = None

    @property
    def said_by_pages(self) -> str:
        """What every page says of the extras, in its head and its navigation."""
        return f"{self.base_url} {bool(self.console)}"

    def describe(self) -> dict[str, Any]:
        """Return what the manifest keeps."""
        base_url = {"base_url": self.base_url} if self.base_url else {}
        return base_url | ({CONSOLE: dict(self.console)} if self.console else {})


NO_EXTRAS = SiteExtras()


def read_extras(base_url: str | None, sql_console: str | None) -> AskedExtras:
    """Return what the options of a command ask for; raise `InputError` if an address or a folder cannot be used."""
    drops = sql_console == NONE
    library = None if sql_console is None or drops else read_library(Path(sql_console))
    address = base_url if base_url is None else "" if base_url == NONE else _read_address(base_url)
    return AskedExtras(address, library, drops)


def find_extras(asked: AskedExtras, manifest: Mapping[str, Any]) -> SiteExtras:
    """Return what a site will have that is published over the site of a manifest."""
    had = manifest.get("base_url"), manifest.get(CONSOLE)
    base_url = asked.base_url if asked.base_url is not None else had[0] if isinstance(had[0], str) else ""
    if asked.library:
        return SiteExtras(base_url, asked.library.versions)
    keeps = isinstance(had[1], dict) and had[1] and not asked.drops_console
    return SiteExtras(base_url, had[1] if keeps else None)


def place_library(files: SiteFiles, library: ConsoleLibrary | None) -> bool:
    """Put the files that the console runs on beside its page; without a library, those of the previous site.

    Returns whether they are there: a previous site can lack some.
    """
    names = [f"{CONSOLE}/{name}" for name in LIBRARY]
    digest = library.digest if library else files.find_digest(CONSOLE)
    is_there = files.reuse(CONSOLE, digest, names)
    if library and not is_there:
        for name, content in library.files.items():
            (files.new / CONSOLE / name).write_bytes(content)
    return is_there or library is not None


def _read_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.query or parts.fragment)
    except ValueError:
        is_address = False
    if not is_address or len(text) > _LONGEST or not text.isprintable() or any(sign in text for sign in " <>\"'\\"):
        shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        raise InputError(
            f"--base-url: {shown!r}: expected the address of the site, e.g. https://example.org/rooflines/"
        )
    return text.rstrip("/") + "/"
