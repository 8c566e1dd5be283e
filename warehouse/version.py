"""Which code made a figure: the package's version and a digest of everything that computes."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from warehouse.digest import digest_of
from warehouse.sql_files import sql_folder

_ROOT = Path(__file__).resolve().parent.parent
_PATTERNS = ("*.py", "*.toml", "*.j2", "*.css", "*.js", "*.conf")
_LIBRARIES = ("duckdb", "polars", "altair", "vl-convert-python")


def package_version() -> str:
    """Return the version of the installed package."""
    try:
        return version("rooflines")
    except PackageNotFoundError:
        return "0"


@cache
def code_version() -> str:
    """Return the version and a digest of the code, the SQL and the libraries that compute.

    Tables and charts are a function of their input files and of this.
    """
    folders = [_ROOT / name for name in ("flows", "charts")]
    files = [path for folder in folders for pattern in _PATTERNS for path in folder.rglob(pattern)]
    files += [
        *(_ROOT / "warehouse").glob("*.py"),
        *(_ROOT / "warehouse").glob("*/*.py"),
        *sql_folder().rglob("*.sql"),
    ]
    libraries = [f"{library} {version(library)}" for library in _LIBRARIES]
    return f"{package_version()}+{digest_of([*libraries, *_digests(files)])[:12]}"


@cache
def computing_code() -> str:
    """Return a digest of the code that computes costs, and of nothing else: what the files of sweeps depend on."""
    files = [*_formula_files(), _ROOT / "flows" / "sweep" / "grid.py"]
    return digest_of([f"polars {version('polars')}", *_digests(files)])


@cache
def cost_formulas() -> str:
    """Return a digest of the formulas of ops and costs: homes where it is equal can be shown as one."""
    return digest_of(_digests(_formula_files()))


def _formula_files() -> list[Path]:
    return list((_ROOT / "flows" / "intensity").glob("*.py"))


def _digests(files: Iterable[Path]) -> Iterator[str]:
    return (f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files)
