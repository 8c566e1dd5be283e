"""Which code made a figure: digests of the code without comments and docstrings, as a whole and by step.

A step of a run depends on the modules that compute it and on all that they import, and on nothing else: an edited
comment recomputes nothing, and an edited chart recomputes no cost.
"""

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from warehouse.digest import digest_of
from warehouse.sql_files import sql_folder

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("flows", "charts", "warehouse")
_PATTERNS = ("*.py", "*.toml", "*.j2", "*.css", "*.js", "*.conf")
_NOT_CODE = ("warehouse/catalog", "warehouse/data", "warehouse/sql")
# import name -> distribution, of the libraries whose version can change a figure or a picture
_LIBRARIES = {"duckdb": "duckdb", "polars": "polars", "altair": "altair", "vl_convert": "vl-convert-python"}
_FORMULAS = ("flows.intensity.conventions", "flows.intensity.costs", "flows.intensity.custom", "flows.intensity.shapes")

_DOCSTRING = re.compile(r'(?:\A|(?<=:\n))(?:[ \t]*#[^\n]*\n)*[ \t]*"""[\s\S]*?"""')
_BLANK_LINES = r"\n(?:[ \t]*\n)+"
# strings, which stay, and comments and blank lines, which go
_KEPT_OR_NOT = {
    ".py": re.compile(r'("""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')|[ \t]*#[^\n]*|' + _BLANK_LINES),
    ".sql": re.compile(r"('(?:[^']|'')*')|[ \t]*--[^\n]*|" + _BLANK_LINES),
    ".css": re.compile(r'("[^"]*"|\'[^\']*\')|[ \t]*/\*[\s\S]*?\*/|' + _BLANK_LINES),
}


def package_version() -> str:
    """Return the version of the installed package."""
    try:
        return version("rooflines")
    except PackageNotFoundError:
        return "0"


@cache
def code_version() -> str:
    """Return the version, and a digest of all code, SQL and libraries that a run depends on."""
    found = {path for package in _PACKAGES for pattern in _PATTERNS for path in (_ROOT / package).rglob(pattern)}
    skipped = tuple(f"{_ROOT / folder}/" for folder in _NOT_CODE)
    files = [path for path in found if not str(path).startswith(skipped)]
    libraries = [f"{library} {version(library)}" for library in _LIBRARIES.values()]
    files += sql_folder().rglob("*.sql")
    return f"{package_version()}+{digest_of([*libraries, *_digest_files(files)])[:12]}"


@cache
def step_code(*modules: str) -> str:
    """Return a digest of what a step of a run depends on.

    Parameters
    ----------
    modules
        The modules that compute the step, e.g. "flows.intensity.costs". What they import from this project counts too,
        and so do the versions of the libraries that any of them imports.
    """
    files, libraries = _find_imports(modules)
    versions = [f"{name} {version(_LIBRARIES[name])}" for name in libraries]
    return digest_of([*versions, *_digest_files(files)])


@cache
def sql_code(*folders: str) -> str:
    """Return a digest of the SQL in some folders of sql/."""
    files = (path for folder in folders for path in sorted((sql_folder() / folder).rglob("*.sql")))
    return digest_of(_digest_files(files))


@cache
def computing_code() -> str:
    """Return a digest of the code that computes the rows of a sweep's part, and of nothing else."""
    return step_code("flows.sweep.grid")


@cache
def cost_formulas() -> str:
    """Return a digest of the formulas of ops and costs: homes with the same formulas can be shown as one."""
    return digest_of(_digest_files(map(_module_file, _FORMULAS)))


@lru_cache(maxsize=2048)
def strip_comments(text: str, suffix: str) -> str:
    """Return code without comments, docstrings and blank lines; of other files, the text as it is.

    >>> strip_comments('limit = 3  # seconds', ".py")
    'limit = 3'
    """
    pattern = _KEPT_OR_NOT.get(suffix)
    if pattern is None:
        return text
    if suffix == ".py":
        text = _DOCSTRING.sub("", text)
    for _ in range(2):  # comments that had lines of their own leave blank ones
        text = pattern.sub(lambda found: found[1] or ("\n" if found[0].startswith("\n") else ""), text)
    return text.strip("\n")


def _digest_files(files: Iterable[Path]) -> Iterator[str]:
    for path in files:
        yield f"{path.name} {_digest_code(path.read_text('utf-8'), path.suffix)}"


@lru_cache(maxsize=2048)  # most files belong to many steps
def _digest_code(text: str, suffix: str) -> str:
    return hashlib.sha256(strip_comments(text, suffix).encode()).hexdigest()


def _module_file(module: str) -> Path:
    path = _ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _find_imports(modules: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Return the files of modules and of all that they import here, and the libraries that any of them imports."""
    files: dict[Path, None] = {}
    libraries: set[str] = set()
    waiting = list(modules)
    while waiting:
        file = _module_file(waiting.pop())
        if file in files:
            continue
        files[file] = None
        for name in _imported_names(file.read_text("utf-8")):
            package = name.partition(".")[0]
            if package in _LIBRARIES:
                libraries.add(package)
            elif package in _PACKAGES and _module_file(name).is_file():
                waiting.append(name)
    return list(files), sorted(libraries)


@lru_cache(maxsize=1024)  # most modules belong to many steps
def _imported_names(code: str) -> list[str]:
    """Return the modules that a file may import; of `from a import b`, both a and a.b."""
    names: list[str] = []
    for node in _list_statements(ast.parse(code).body):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
            names += (f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _list_statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield statements and those in them, but no expressions, which are most of a file and import nothing."""
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from _list_statements(getattr(node, part, ()))
