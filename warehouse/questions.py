"""The worked questions of sql/queries: what each asks, and its SQL."""

from difflib import get_close_matches
from typing import NamedTuple

from warehouse.errors import InputError
from warehouse.sql_files import load_all_sql


class WorkedQuestion(NamedTuple):
    """A file of sql/queries."""

    name: str
    asks: str
    sql: str


def list_questions() -> list[WorkedQuestion]:
    """Return the worked questions, sorted by name."""
    return [
        WorkedQuestion(name, sql.splitlines()[0].removeprefix("-- "), sql)
        for name, sql in load_all_sql("queries").items()
    ]


def find_question(name: str) -> WorkedQuestion:
    """Return a worked question, or raise `InputError` with the nearest names."""
    known = {question.name: question for question in list_questions()}
    if name not in known:
        near = ", ".join(get_close_matches(name, known, n=3, cutoff=0.3) or list(known)[:3])
        raise InputError(f"questions: {name}: no such question; expected a name such as {near}")
    return known[name]
