"""What is installed: bounds end somewhere, and the versions that passed last lie within them."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.files import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EVERY = [*PROJECT["dependencies"], *(name for extra in PROJECT["optional-dependencies"].values() for name in extra)]
REQUIRED = [Requirement(text) for text in EVERY if not text.startswith("rooflines")]
LINES = (ROOT / ".ci" / "constraints.txt").read_text("utf-8").splitlines()
PINNED = [Requirement(line) for line in LINES if not line.startswith("#")]
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("required", REQUIRED, ids=str)
def test_bounds_end_somewhere(required: Requirement) -> None:
    operators = {clause.operator for clause in required.specifier}
    assert operators == {"=="} or {">=", "<"} <= operators
    assert "!=" not in operators


@pytest.mark.parametrize("required", REQUIRED, ids=str)
def test_the_versions_that_passed_lie_within_the_bounds(required: Requirement) -> None:
    named = [pin for pin in PINNED if canonicalize_name(pin.name) == canonicalize_name(required.name)]
    versions = [next(iter(pin.specifier)).version for pin in named]
    assert versions, f".ci/update-constraints writes a line for {required.name}"
    assert all(required.specifier.contains(version) for version in versions)


def test_every_constraint_is_one_version() -> None:
    assert [line for line in PINNED if [clause.operator for clause in line.specifier] != ["=="]] == []


def test_no_constraint_names_a_host() -> None:
    assert [line for line in LINES if re.search(r"://|--|@", line)] == []


def test_both_commands_of_the_readme_use_the_constraints() -> None:
    (first,), (second,) = (block.splitlines() for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[:2])
    assert first.startswith("pip install -c .ci/constraints.txt -e . && ")
    assert second.startswith("pip install -c .ci/constraints.txt -e '.[dev]' && ")


def test_duckdb_and_its_extensions_are_of_one_version() -> None:
    """An extension loads in the DuckDB that it was built for, and in no other."""
    pinned = {pin.name: Version(next(iter(pin.specifier)).version) for pin in PINNED}
    extensions = {version for name, version in pinned.items() if name.startswith("duckdb-extension-")}
    assert extensions == {pinned["duckdb"]}
