"""The worked questions of sql/queries: what each asks, and its SQL."""

from typing import NamedTuple

from warehouse.errors import InputError
from warehouse.names import find_near_names
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
        raise InputError(f"questions: {name}: no such question; expected a name such as {find_near_names(name, known)}")
    return known[name]
