"""Load extensions of DuckDB from the wheels that contain them: no command downloads anything."""

from importlib.util import find_spec
from pathlib import Path

import duckdb

from warehouse.errors import InputError


def load_extension(connection: duckdb.DuckDBPyConnection, name: str, extra: str) -> None:
    """Load an extension of DuckDB from the package `duckdb-extension-NAME`, which an extra installs.

    Raises
    ------
    InputError
        The package is not installed, or is made for another version of DuckDB.
    """
    if reason := explain_missing_extension(name, extra):
        raise InputError(reason)
    connection.load_extension(str(_extension_path(name)))


def explain_missing_extension(name: str, extra: str) -> str | None:
    """Return why an extension cannot be loaded and what to do, None if it can."""
    if _extension_path(name).is_file():
        return None
    package = f"duckdb-extension-{name.replace('_', '-')}"
    made_for = ", ".join(sorted(path.name.removeprefix("v") for path in _extension_folder(name).glob("v*")))
    state = f"is made for DuckDB {made_for}, and {duckdb.__version__} is installed" if made_for else "is not installed"
    return f"{package} {state}; pip install 'rooflines[{extra}]' installs versions that fit"


def _extension_path(name: str) -> Path:
    return _extension_folder(name) / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"


def _extension_folder(name: str) -> Path:
    spec = find_spec(f"duckdb_extension_{name}")
    return Path(spec.origin if spec and spec.origin else "/nowhere").parent / "extensions"
