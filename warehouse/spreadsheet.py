"""Tables that a spreadsheet opens: a text that it would take for a formula stays a text."""

import polars as pl

_FORMULA = r"^[=+\-@\t\r]"


def guard_text_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose text cells begin with an apostrophe where a spreadsheet would compute them.

    Those are cells that begin with =, +, - or @, a tab or a carriage return. Numbers stay as they are.
    """
    text = pl.col(pl.String)
    return frame.with_columns(pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text).name.keep())
