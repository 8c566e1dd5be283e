"""Text of CSV files, which spreadsheets would take for a formula."""

import polars as pl

_BEGINS_A_FORMULA = r"^[=+\-@]"


def guard_text_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame in which text that begins as a formula of a spreadsheet has an apostrophe before it.

    Numbers are not changed: a negative one stays one.
    """
    text = [name for name, kind in frame.schema.items() if isinstance(kind, pl.String | pl.Categorical | pl.Enum)]
    return frame.with_columns(frame[name].cast(pl.String).str.replace(_BEGINS_A_FORMULA, "'${0}") for name in text)
