"""The console of a site, and packages for it: made-up ones, and the real ones if the machine has them."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from flows.site.console import write_console
from flows.site.console_library import LIBRARY, ConsoleLibrary, read_library
from flows.site.site_extras import SiteExtras, place_library
from flows.site.site_files import SiteFiles
from flows.site.site_pages import SitePages
from flows.site.site_rows import read_site_rows
from tests.support.files import write_tree
from warehouse.home import Home
from warehouse.snapshot import open_snapshot

INSTALLED = "ROOFLINES_DUCKDB_WASM"  # names the folder in which npm installed the package


def write_packages(folder: Path) -> Path:
    """Write packages that have the right files, with nothing in them, and return their folder."""
    files = {f"{package}/{path}": "\0asm" if path.endswith(".wasm") else "//" for package, path in LIBRARY.values()}
    for name, version in (("@duckdb/duckdb-wasm", "1.32.0"), ("apache-arrow", "17.0.0")):
        files[f"{name}/package.json"] = json.dumps({"name": name, "version": version})
    write_tree(folder / "node_modules", files)
    return folder


def read_real_library() -> ConsoleLibrary:
    """Return DuckDB-WASM as npm installed it, or skip the test that needs it."""
    if INSTALLED not in os.environ:
        pytest.skip(
            f"no DuckDB-WASM: npm install --ignore-scripts @duckdb/duckdb-wasm@1.32.0, and name it in {INSTALLED}"
        )
    return read_library(Path(os.environ[INSTALLED]))


def build_console(home: Home, site: Path, library: ConsoleLibrary) -> Path:
    """Write the console of a home's site, with what it needs of the rest, and return the folder."""
    site.mkdir(parents=True)
    for folder in ("data", "assets"):
        (site / folder).symlink_to(home.site / folder, target_is_directory=True)
    files = SiteFiles(site, site / "no previous one")
    assert place_library(files, library)
    with open_snapshot(home.snapshot) as connection:
        rows = read_site_rows(connection)
        tables = [path.stem for path in (home.site / "data").glob("*.parquet")]
        pages = SitePages(site, extras=SiteExtras(console=library.versions))
        write_console(pages, files, connection, rows, tables)
    return site


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine, and yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
