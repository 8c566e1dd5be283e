"""Text of CSV files, which spreadsheets would take for a formula."""

import polars as pl
from polars import selectors

_TEXT = selectors.string() | selectors.categorical() | selectors.enum()
_BEGINS_A_FORMULA = r"^[=+\-@\t\r]"


def guarded_text() -> pl.Expr:
    """Return every column of text, in which what begins as a formula of a spreadsheet has an apostrophe before it."""
    return _TEXT.cast(pl.String).str.replace(_BEGINS_A_FORMULA, "'${0}")


def guard_text_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame in which text that begins as a formula of a spreadsheet has an apostrophe before it.

    Numbers are not changed: a negative one stays one.
    """
    return frame.with_columns(guarded_text())
