"""Digests of code: what makes a run compute anew, and what does not."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.whole_runs import run_without_prefect
from warehouse import version
from warehouse.home import Home
from warehouse.version import strip_comments

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(path for package in ("flows", "charts", "warehouse") for path in (ROOT / package).rglob("*.py"))


def drop_docstrings(code: str) -> str:
    """Return the syntax tree of a module without docstrings."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return ast.dump(tree)


def test_stripping_keeps_the_code_of_every_module() -> None:
    compared = 0
    for text in (path.read_text("utf-8") for path in MODULES):
        try:
            ast.parse(stripped := strip_comments(text, ".py"))
        except SyntaxError:  # a class or function that has a docstring and no more
            continue
        assert drop_docstrings(stripped) == drop_docstrings(text)
        compared += 1
    assert compared > 0.9 * len(MODULES)


@pytest.mark.parametrize(
    ("suffix", "text", "code"),
    [
        (".py", 'x = "#"  # note\n\n# more\ny = 1\n', 'x = "#"\ny = 1'),
        (".py", 'def f():\n    """Say."""\n    return """\n# kept\n\n"""\n', 'def f():\n    return """\n# kept\n\n"""'),
        (".css", "a { color: red; /* why */ }\n\n/* more */\nb {}\n", "a { color: red; }\nb {}"),
        (".sql", "-- one row per x\nselect '--' as a -- why\n", "select '--' as a"),
        (".js", "a(); // as it is\n", "a(); // as it is\n"),
    ],
)
def test_comments_are_not_code(suffix: str, text: str, code: str) -> None:
    assert strip_comments(text, suffix) == code


@pytest.fixture
def copied_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the code, which digests are made of."""
    for package in ("flows", "charts", "warehouse"):
        leave_out = shutil.ignore_patterns("data", "catalog", "__pycache__")
        shutil.copytree(ROOT / package, tmp_path / "code" / package, ignore=leave_out)
    monkeypatch.setattr(version, "_ROOT", tmp_path / "code")
    forget_digests()
    yield tmp_path / "code"
    forget_digests()


def forget_digests() -> None:
    for digest in (version.code_version, version.step_code, version.computing_code, version.cost_formulas):
        digest.cache_clear()


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")
    forget_digests()


def test_a_comment_in_a_stylesheet_recomputes_nothing(copied_code: Path, home: Home) -> None:
    assert run_without_prefect(home).status == "unchanged"
    style = copied_code / "charts" / "pages" / "site.css"
    style.write_text(f"/* A comment. */\n{style.read_text('utf-8')}", "utf-8")
    forget_digests()
    assert run_without_prefect(home).status == "unchanged"


@pytest.mark.slow
def test_a_new_style_is_published_and_recomputes_nothing(copied_code: Path, home: Home) -> None:
    style = copied_code / "charts" / "pages" / "site.css"
    style.write_text(f"{style.read_text('utf-8')}\nbody {{ margin: 1px; }}\n", "utf-8")
    forget_digests()
    staged = {path: path.stat().st_mtime_ns for path in home.stage.glob("*.parquet")}
    summary = run_without_prefect(home, draws=True)
    assert summary.status == "succeeded"
    assert summary.site
    assert set(summary.site.drawn) <= {"run-history"}  # which shows this run too
    assert not any(change.touched for change in summary.changes)
    assert {path: path.stat().st_mtime_ns for path in home.stage.glob("*.parquet")} == staged


def test_a_docstring_of_the_cost_model_voids_no_part_of_a_sweep(copied_code: Path) -> None:
    before = version.computing_code(), version.cost_formulas(), version.code_version()
    costs = copied_code / "flows" / "intensity" / "costs.py"
    edit(costs, '"""', '"""Other words. ')
    assert (version.computing_code(), version.cost_formulas(), version.code_version()) == before
    edit(costs, "2 *", "3 *")
    assert version.computing_code() != before[0]
    assert version.cost_formulas() != before[1]
    assert version.code_version() != before[2]


def test_the_rows_of_a_sweep_depend_on_the_cost_model_alone(copied_code: Path) -> None:
    before = version.computing_code()
    edit(copied_code / "charts" / "paper.py", "import", "import os\nimport")
    edit(copied_code / "warehouse" / "load.py", "import", "import os\nimport")
    assert version.computing_code() == before


def test_a_reader_of_profiles_recomputes_no_cost(copied_code: Path) -> None:
    before = version.step_code("flows.intensity.op_tables"), version.step_code("flows.ingest.readers.hardware")
    edit(copied_code / "flows" / "ingest" / "profiles" / "vidur.py", "import", "import os\nimport")
    assert (
        version.step_code("flows.intensity.op_tables"),
        version.step_code("flows.ingest.readers.hardware"),
    ) == before
