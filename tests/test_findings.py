"""Findings are the same whatever the last bits of a figure are."""

import polars as pl
import pytest

from charts.findings import join_names, keep_best, list_dominant, shorten

NOISE = 1e-12


@pytest.mark.parametrize("noise", [-NOISE, 0, NOISE])
def test_the_best_do_not_hang_on_the_last_bits(noise: float) -> None:
    rates = pl.DataFrame({"batch_size": [256, 512, 1024, 2048], "rate": [90.0, 100 * (1 + noise), 100.0, 99.5]})
    assert keep_best(rates, "rate")["batch_size"].to_list() == [512, 1024, 2048]


@pytest.mark.parametrize("noise", [-NOISE, 0, NOISE])
def test_op_groups_that_take_as_much_time_are_named_together(noise: float) -> None:
    parts = pl.DataFrame(
        {
            "batch_size": [1, 1, 1, 2, 2],
            "op_group": ["out", "attention", "norm", "attention", "out"],
            "share": [0.45 + noise, 0.45, 0.1, 0.511, 0.489],
        }
    )
    dominant = list_dominant(parts)
    assert dominant["op_group"].to_list() == [["attention", "out"], ["attention"]]
    assert dominant["share"].to_list() == pytest.approx([0.45, 0.511])


def test_names_make_a_phrase() -> None:
    assert join_names(["A"]) == "A"
    assert join_names(["A", "B"]) == "A and B"
    assert join_names(["A", "B", "C"]) == "A, B and C"
    assert join_names(["A", "B", "C", "D", "E"]) == "A and 4 others"


def test_long_names_lose_their_middle() -> None:
    assert shorten("Llama 7B", 28) == "Llama 7B"
    assert shorten("a" * 40 + "b" * 40, 9) == "aaaa…bbbb"
