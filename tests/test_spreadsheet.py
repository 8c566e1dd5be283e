"""Text that a spreadsheet would take for a formula."""

import polars as pl

from warehouse.files.spreadsheet import guard_text_cells


def test_text_that_begins_as_a_formula_is_guarded_and_nothing_else() -> None:
    text = ["=1", "+1", "-1", "@a", "a=1", "", None]
    frame = pl.DataFrame({"^a$": text, "b": [-1, 2, -3, 4, 5, 6, None], "c": pl.Series(text, dtype=pl.Categorical)})
    guarded = guard_text_cells(frame)
    expected = ["'=1", "'+1", "'-1", "'@a", "a=1", "", None]
    assert guarded.columns == frame.columns
    assert guarded["^a$"].to_list() == guarded["c"].to_list() == expected
    assert guarded["b"].to_list() == frame["b"].to_list()
    assert guard_text_cells(pl.DataFrame({"b": [-1]})).rows() == [(-1,)]
