"""Which cases of a test run in the fast tier, and which only in the slow one (`pytest -m slow`)."""

from collections.abc import Iterable
from typing import Any

import pytest


def mark_slow(cases: Iterable[object]) -> list[Any]:
    """Return cases for `parametrize` that only the slow tier runs."""
    return [pytest.param(case, marks=pytest.mark.slow) for case in cases]


def keep_fast(count: int, cases: Iterable[object]) -> list[Any]:
    """Return cases for `parametrize` of which only the first few run in the fast tier."""
    every = list(cases)
    return [*every[:count], *mark_slow(every[count:])]
