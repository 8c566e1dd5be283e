"""The rules of the tests themselves: which of them run by default, and what they may share."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.files import ROOT

MODULES = sorted((ROOT / "tests").rglob("*.py"))
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]


def list_imports(module: Path) -> Iterator[str]:
    """Yield the names of what a module imports, with that of the scripts that it writes."""
    text = module.read_text("utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)
    yield from re.findall(r"\bfrom (tests\.\w+) import", text)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_no_module_imports_a_test_module(module: Path) -> None:
    """What several test modules need is in tests/support/."""
    assert [name for name in list_imports(module) if re.match(r"tests\.(test_|conftest)", name)] == []


def test_the_fast_tier_is_the_default_and_ci_runs_both() -> None:
    assert "-m 'not slow'" in SETTINGS["addopts"]
    steps = (ROOT / ".ci" / "run").read_text("utf-8")
    assert 'bash -euc "$(readme_command 2)"' in steps
    assert "\npytest -m slow -n auto\n" in steps
