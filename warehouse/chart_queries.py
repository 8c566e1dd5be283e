"""The queries of sql/charts: which templates there are, and which parameters each needs."""

import textwrap
from functools import cache

from warehouse.sql_files import find_placeholders, load_all_sql, load_sql, sql_folder
from warehouse.sql_values import find_parameters

_WITH_DEFAULTS = {"marks", "else_fastest"}
_POINTS = "points"  # in a query, the marks that a chart chooses


def list_templates() -> list[str]:
    """Return the names of all templates."""
    return sorted(path.stem for path in (sql_folder() / "charts").glob("*.sql"))


@cache
def find_template_parameters(template: str, marks: str) -> frozenset[str]:
    """Return the parameters of the query of a template, and of the marks that it draws."""
    sql, points = load_sql(f"charts/{template}"), load_all_sql("charts/marks")
    drawn = {marks if name == _POINTS else name for name in find_placeholders(sql)} & points.keys()
    return frozenset(
        find_parameters(sql).union(*(find_parameters(points[name]) for name in drawn)) - {"marks", "else_fastest"}
    )


def has_choice_of_marks(template: str) -> bool:
    """Return whether a chart of a template can show any kind of marks."""
    return _POINTS in find_placeholders(load_sql(f"charts/{template}"))


@cache
def load_template(template: str, marks: str) -> str:
    """Return the query of a template.

    In sql/charts, `{points}` stands for the query in sql/charts/marks that `marks` names, and `{computed}` etc. for the
    query of that name.
    """
    queries = {name: textwrap.indent(sql, " " * 4).rstrip() for name, sql in load_all_sql("charts/marks").items()}
    queries[_POINTS] = queries.get(marks, queries["none"])
    return load_sql(f"charts/{template}", **queries)
