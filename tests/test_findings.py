"""Findings are the same whatever the last bits of a figure are."""

import polars as pl
import pytest

from charts.findings import join_names, keep_best, list_dominant, shorten_names

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


def test_long_names_lose_their_middle_unless_they_would_be_the_same() -> None:
    first, second = f"A100 {'x' * 80} node 1", f"A100 {'x' * 80} node 2"
    names = pl.DataFrame({"hardware": [first, "L4", second, None]})
    short = shorten_names(names, "hardware")["hardware"].to_list()
    assert short[1] == "L4"
    assert short[0].startswith("A100 x")
    assert short[0].endswith("x node 1")
    assert len(short[0]) < 40
    alike = pl.DataFrame({"hardware": [f"{'x' * 80}{i}{'x' * 80}" for i in "12"]})
    assert shorten_names(alike, "hardware").equals(alike)
