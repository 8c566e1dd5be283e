"""Extensions of DuckDB, from the wheels that carry them: nothing is fetched when a command runs."""

from importlib.util import find_spec
from pathlib import Path

import duckdb

from warehouse.errors import InputError


def load_extension(connection: duckdb.DuckDBPyConnection, name: str, extra: str) -> None:
    """Load an extension of DuckDB that is installed as `duckdb-extension-NAME`, which an extra brings.

    Raises
    ------
    InputError
        It is not installed, or is made for another version of DuckDB.
    """
    package = f"duckdb_extension_{name}"
    spec = find_spec(package)
    mend = f"pip install 'rooflines[{extra}]' brings what fits together"
    if spec is None or spec.origin is None:
        raise InputError(f"{package.replace('_', '-')} is not installed; {mend}")
    files = Path(spec.origin).parent / "extensions"
    file = files / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not file.is_file():
        made_for = ", ".join(sorted(path.name.removeprefix("v") for path in files.glob("v*"))) or "no version"
        raise InputError(
            f"{package.replace('_', '-')} is made for DuckDB {made_for}, and {duckdb.__version__} is installed; {mend}"
        )
    connection.load_extension(str(file))
