"""FLOP of recurrent mixers: a token at a time in decode, a chunk at a time in a prompt."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import polars as pl


class Recurrence(NamedTuple):
    """Sizes of a state: heads * key_dim * value_dim; groups of heads share keys and queries. Numbers or expressions."""

    heads: Any
    key_heads: Any
    key_dim: Any
    value_dim: Any


# FLOP of one token for each element of the state, if the state is updated token by token.
PER_ELEMENT: Mapping[str, float] = {
    "mamba-1": 7,
    "mamba-2": 5,
    "gated-delta": 7,
    "lightning": 5,
    "kda": 7,
    "rg-lru": 7,
    "rwkv-7": 9,
}
RULES = tuple(PER_ELEMENT)


def flops_of_token(rule: str, size: Recurrence, chunk: Any) -> Any:
    """Return the FLOP of one token; `chunk` is null if the state is updated token by token."""
    state = size.heads * size.key_dim * size.value_dim
    stepwise = PER_ELEMENT[rule] * state
    if chunk is None:
        return stepwise
    chunked = _in_chunks(rule, size, chunk)
    if isinstance(chunk, pl.Expr):
        return pl.when(chunk.is_null()).then(stepwise).otherwise(chunked)
    return chunked


def _in_chunks(rule: str, size: Recurrence, chunk: Any) -> Any:
    heads, _, key, value = size
    seen = (chunk + 1) / 2
    return heads * (2 * seen * (key + value) + 4 * key * value)


_Formula = Callable[[Recurrence, Any], Any]
