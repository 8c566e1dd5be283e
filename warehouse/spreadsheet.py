"""Text of CSV files, which spreadsheets would take for a formula."""

import polars as pl

_BEGINS_A_FORMULA = r"^[=+\-@]"


def guard_text_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame in which text that begins as a formula of a spreadsheet has an apostrophe before it.

    Numbers are not changed: a negative one stays one.
    """
    text = [name for name, kind in frame.schema.items() if isinstance(kind, pl.String | pl.Categorical | pl.Enum)]
    cells = [pl.col(name).cast(pl.String) for name in text]
    return frame.with_columns(
        pl.when(cell.str.contains(_BEGINS_A_FORMULA)).then(pl.lit("'") + cell).otherwise(cell) for cell in cells
    )
