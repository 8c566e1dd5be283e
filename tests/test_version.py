"""Digests of code: what makes a run compute anew, and what does not."""

import ast
from pathlib import Path

import pytest

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
