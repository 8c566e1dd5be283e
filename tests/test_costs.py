"""The cost model: closed forms of the paper, and what must hold for every shape."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.intensity.costs import Cost, all_reduce, attention, attention_product, elementwise, linear

sizes = st.integers(1, 100_000)
small = st.integers(1, 512)
half = {"weight": 2, "activation": 2}
cache = {"activation": 2, "kv": 2}


@given(m=sizes, k=sizes, n=sizes)
def test_intensity_of_a_product_has_the_papers_closed_form(m: int, k: int, n: int) -> None:
    assert linear(m, k, n, **half).intensity == pytest.approx(1 / (1 / k + 1 / n + 1 / m), rel=1e-12)


@given(b=small, q=sizes, s=sizes, heads=small, d=small)
def test_intensity_of_attention_has_the_papers_closed_form(b: int, q: int, s: int, heads: int, d: int) -> None:
    found = attention_product(b, q, s, heads, heads, d, **cache).intensity
    assert found == pytest.approx(1 / (1 / d + 1 / q + 1 / s), rel=1e-12)


@given(m=sizes, k=sizes, n=sizes)
def test_a_product_is_symmetric_in_its_outer_dimensions(m: int, k: int, n: int) -> None:
    assert linear(m, k, n, **half).flops == linear(n, k, m, **half).flops
    assert linear(m, k, n, **half).bytes == linear(m, n, k, **half).bytes


@given(b=small, q=small, s=sizes, heads=small, d=small)
def test_sharing_keys_moves_fewer_bytes_for_the_same_work(b: int, q: int, s: int, heads: int, d: int) -> None:
    own = attention_product(b, q, s, heads, heads, d, **cache)
    shared = attention_product(b, q, s, heads, 1, d, **cache)
    assert shared.flops == own.flops
    assert shared.kv_bytes * heads == own.kv_bytes
    assert shared.activation_bytes == own.activation_bytes


def grow(arguments: dict[str, int], name: str) -> dict[str, int]:
    return {**arguments, name: arguments[name] + 1}


@given(m=sizes, k=sizes, n=sizes, name=st.sampled_from("mkn"))
def test_a_product_grows_with_every_dimension(m: int, k: int, n: int, name: str) -> None:
    shape = {"m": m, "k": k, "n": n}
    assert_grows(linear(**shape, **half), linear(**grow(shape, name), **half))


@given(b=small, q=small, s=sizes, heads=small, d=small, name=st.sampled_from(["b", "q", "s", "heads", "d"]))
def test_attention_grows_with_every_dimension(b: int, q: int, s: int, heads: int, d: int, name: str) -> None:
    shape = {"b": b, "q": q, "s": s, "heads": heads, "d": d}
    assert_grows(
        attention_product(**shape, kv_heads=1, **cache), attention_product(**grow(shape, name), kv_heads=1, **cache)
    )


def assert_grows(before: Cost, after: Cost) -> None:
    assert after.flops > before.flops
    assert after.bytes > before.bytes


@given(elements=sizes, flops=small, moves=small)
def test_intensity_of_an_elementwise_op_does_not_depend_on_its_size(elements: int, flops: int, moves: int) -> None:
    one: Any = {"flops": flops, "reads": moves, "writes": 1, "activation": 2}
    assert elementwise(elements, **one).intensity == pytest.approx(elementwise(1, **one).intensity, rel=1e-12)


@given(m=sizes, k=sizes, n=sizes)
def test_expressions_and_numbers_give_the_same(m: int, k: int, n: int) -> None:
    frame = pl.DataFrame({"m": [float(m)], "k": [float(k)], "n": [float(n)]})
    cost = linear(pl.col("m"), pl.col("k"), pl.col("n"), **half)
    row = frame.select(flops=cost.flops, bytes=cost.bytes, intensity=cost.intensity).row(0)
    number = linear(float(m), float(k), float(n), **half)
    assert row == (number.flops, number.bytes, number.intensity)


def test_fewer_bits_of_weights_move_fewer_bytes() -> None:
    assert linear(1, 4096, 4096, weight=0.5, activation=2).weight_bytes == 4096 * 4096 / 2


@given(b=small, q=small, heads=small, d=small, s=sizes)
def test_fused_attention_leaves_the_scores_on_the_chip(b: int, q: int, heads: int, d: int, s: int) -> None:
    fused = attention(b, q, heads, heads, d, value_d=d, kv_d=2 * d, attended=s, cached=s, **cache)
    one = attention_product(b, q, s, heads, heads, d, **cache)
    assert fused.flops == 2 * one.flops == 4 * b * heads * q * s * d
    assert fused.bytes == 2 * one.bytes - 2 * 2 * b * heads * q * s


def test_absorbed_attention_has_the_published_work() -> None:
    """formula of DeepSeek-AI 2024 (arXiv 2405.04434): H heads of r + p against one latent of all."""
    h, q, s, r, p = 128, 1, 1000, 512, 64
    cost = attention(2, q, h, 1, r + p, value_d=r, kv_d=r + p, attended=s, cached=s, **cache)
    assert cost.flops == 2 * 2 * h * q * s * (r + p) + 2 * 2 * h * q * s * r
    assert cost.kv_bytes == 2 * 2 * s * (r + p)


@given(m=sizes, k=sizes, n=sizes, matrices=small)
def test_every_matrix_is_read_and_every_row_is_worked(m: int, k: int, n: int, matrices: int) -> None:
    one, several = linear(m, k, n, **half), linear(m, k, n, matrices=matrices, **half)
    assert (several.flops, several.activation_bytes) == (one.flops, one.activation_bytes)
    assert several.weight_bytes == matrices * one.weight_bytes


def test_a_bias_is_read_and_added() -> None:
    plain, biased = linear(3, 5, 7, **half), linear(3, 5, 7, bias=1, **half)
    assert (biased.flops - plain.flops, biased.bytes - plain.bytes) == (3 * 7, 2 * 7)


def test_an_all_reduce_sends_twice_what_the_others_hold() -> None:
    assert all_reduce(1000, 1, activation=2) == Cost(0)
    assert all_reduce(1000, 4, activation=2) == Cost(750, activation_bytes=2 * 0.75 * 2000)


def test_a_sum_of_operands_reads_each() -> None:
    cost = elementwise(10, flops=2, reads=1, writes=1, activation=2, operands=8)
    assert (cost.flops, cost.bytes) == (160, 2 * 10 * 9)
