"""DuckDB-WASM and the Arrow reader that it needs, as npm installs them: what the console of a site runs on."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from warehouse.digest import digest_of
from warehouse.errors import InputError

_DUCKDB, _ARROW = "@duckdb/duckdb-wasm", "apache-arrow"
# the versions that were tried: from the first, below the second
_VERSIONS = {_DUCKDB: ((1, 32), (2, 0)), _ARROW: ((17, 0), (18, 0))}
_LARGEST = 100_000_000  # bytes of a file; GitHub takes no larger one
_LONGEST_VERSION = 40
_INSTALL = "npm install --ignore-scripts @duckdb/duckdb-wasm@1.32.0"

# each file beside the page, and where a package has it
LIBRARY = {
    "duckdb.js": (_DUCKDB, "dist/duckdb-browser.cjs"),
    "duckdb-worker.js": (_DUCKDB, "dist/duckdb-browser-eh.worker.js"),
    "duckdb.wasm": (_DUCKDB, "dist/duckdb-eh.wasm"),
    "arrow.js": (_ARROW, "Arrow.es2015.min.js"),
    "arrow-license.txt": (_ARROW, "LICENSE.txt"),
    "arrow-notice.txt": (_ARROW, "NOTICE.txt"),
}
# a script of a page has no `module` and no `require`
_BEFORE = """window.duckdb = (() => {
const module = { exports: {} }, exports = module.exports, require = () => window.Arrow;
"""
_AFTER = "\nreturn module.exports;\n})();\n"


@dataclass(frozen=True)
class ConsoleLibrary:
    """The files that the console runs on, by their name beside its page, and the version of each package."""

    files: dict[str, bytes]
    versions: dict[str, str]

    @property
    def digest(self) -> str:
        """What the files can be recognized by."""
        return digest_of([f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in self.files.items()])


def read_library(folder: Path) -> ConsoleLibrary:
    """Read the files of DuckDB-WASM and of apache-arrow.

    Parameters
    ----------
    folder
        The folder in which `npm install` put the packages, or its `node_modules`.

    Raises
    ------
    InputError
        A package or a file is missing or too large, is not what its name says, or has a version that was not tried.
    """
    if not folder.is_dir():
        raise InputError(f"--sql-console: {folder}: no such folder; expected one that `{_INSTALL}` filled")
    packages = folder / "node_modules" if (folder / "node_modules").is_dir() else folder
    versions = {name: _read_version(packages / name, name) for name in _VERSIONS}
    files = {file: _read_file(packages / package / path) for file, (package, path) in LIBRARY.items()}
    if not files["duckdb.wasm"].startswith(b"\0asm"):
        raise InputError(f"--sql-console: {packages / _DUCKDB / LIBRARY['duckdb.wasm'][1]}: expected WebAssembly")
    for name in ("duckdb.js", "duckdb-worker.js", "arrow.js"):
        package, path = LIBRARY[name]
        try:
            files[name].decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"--sql-console: {packages / package / path}: expected a script in UTF-8") from None
    files["duckdb.js"] = _BEFORE.encode() + files["duckdb.js"] + _AFTER.encode()
    return ConsoleLibrary(files, versions)


def _read_version(package: Path, name: str) -> str:
    file = package / "package.json"
    try:
        described = json.loads(_read_file(file))
    except (ValueError, RecursionError):
        raise InputError(f"--sql-console: {file}: expected JSON") from None
    told = described if isinstance(described, dict) else {}
    if told.get("name") != name:
        raise InputError(f"--sql-console: {file}: name: {_show(told.get('name'))}; expected {name}")
    version = str(told.get("version", "missing"))
    lowest, end = _VERSIONS[name]
    found = re.match(r"(\d{1,5})\.(\d{1,5})\.\d", version)
    if found is None or len(version) > _LONGEST_VERSION or not lowest <= (int(found[1]), int(found[2])) < end:
        expected = f"from {lowest[0]}.{lowest[1]} to below {end[0]}.{end[1]}"
        raise InputError(
            f"--sql-console: {file}: version: {_show(version)}; expected one {expected}, e.g. of `{_INSTALL}`"
        )
    return str(version)


def _read_file(file: Path) -> bytes:
    if not file.is_file():
        raise InputError(f"--sql-console: {file}: no such file; expected what `{_INSTALL}` puts there")
    size = file.stat().st_size
    if not 0 < size <= _LARGEST:
        raise InputError(f"--sql-console: {file}: {size:,} bytes; expected 1 to {_LARGEST:,}")
    return file.read_bytes()


def _show(value: object) -> str:
    return json.dumps(value)[:60] if value is not None else "missing"
