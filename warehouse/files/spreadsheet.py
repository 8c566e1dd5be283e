"""Guard text of CSV files that spreadsheets would take for a formula."""

import polars as pl
from polars import selectors

_TEXT = selectors.string() | selectors.categorical() | selectors.enum()
_BEGINS_A_FORMULA = r"^[=+\-@\t\r]"


def guard_text_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame in which text that begins like a formula has an apostrophe before it.

    Numbers are left alone, negative ones too.
    """
    return frame.with_columns(_TEXT.cast(pl.String).str.replace(_BEGINS_A_FORMULA, "'${0}"))


def guard_text_sql(column: str) -> str:
    """Return SQL that guards a column of text in the same way, while DuckDB reads it."""
    return rf"regexp_replace({column}, '{_BEGINS_A_FORMULA}', '''\0')"
