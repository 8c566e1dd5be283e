"""Work of recurrent mixers: a token at a time in decode, a chunk at a time in a prompt.

A head has a state of N x P numbers: N = key_dim, P = value_dim. FLOP = 2 per multiply-add, 1 of an exponential or a
root. Gates and decays come from the ops before. A chunk of C tokens counts only what is causal, as flash attention
does: a token sees (C + 1)/2 tokens of its chunk on average with itself, and (C - 1)/2 before itself.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import polars as pl


class Recurrence(NamedTuple):
    """Sizes of a state: heads * key_dim * value_dim; groups of heads share keys and queries. Numbers or expressions."""

    heads: Any
    key_heads: Any
    key_dim: Any
    value_dim: Any


class Step(NamedTuple):
    """FLOP of one token if the state is updated token by token: for each element of the state, for each of a value."""

    element: int
    value: int


# Each function of the state is written as in the paper, with the FLOP of its parts.
STEPS: Mapping[str, Step] = {
    # Gu and Dao 2023 (arXiv 2312.00752), equations 2a, 2b and 4: h = exp(Δ A) h + (Δ x) B, y = C h + D x.
    # Δ A, its exponential, its product with h, (Δ x) B, the sum, C h; once a channel Δ x and D x.
    "mamba-1": Step(7, 3),
    # Dao and Gu 2024 (arXiv 2405.21060), section 7: the same with one decay a head: a h, (Δ x) B, the sum, C h.
    "mamba-2": Step(5, 3),
    # Yang et al. 2024 (arXiv 2412.06464), equation 10: S = α S (I - β k k^T) + β v k^T, o = S q.
    # α S, S k, β (v - S k) once a value, its outer product with k, the sum, S q.
    "gated-delta": Step(7, 2),
    # Qin et al. 2024 (arXiv 2405.17381): kv = λ kv + k v^T, o = q kv. λ kv, k v^T, the sum, q kv.
    "lightning": Step(5, 0),
    # Kimi Team 2025 (arXiv 2510.26692), equation 1: the gated delta rule with a decay of each channel of a key.
    "kda": Step(7, 2),
    # De et al. 2024 (arXiv 2402.19427), section 2.4: a = exp(-8 softplus(Λ) r), h = a h + sqrt(1 - a²) (i x).
    # One number a channel: a product and an exponential, then 1 - a² and its root, i x, both products, the sum.
    "rg-lru": Step(9, 0),
    # Peng et al. 2025 (arXiv 2503.14456): S = S (diag(w) - κ^T (a κ)) + v^T k, y = S r.
    # S w, S κ, its outer product with a κ, the difference, v^T k and the sum, S r.
    "rwkv-7": Step(9, 0),
}
RULES = tuple(STEPS)


def flops_of_token(rule: str, size: Recurrence, chunk: Any) -> Any:
    """Return the FLOP of one token; `chunk` is null if the state is updated token by token.

    Mamba-1 and RG-LRU have no matrix form: a prompt is scanned token by token, whatever the chunk.
    """
    of_step = STEPS[rule]
    stepwise = size.heads * size.value_dim * (of_step.element * size.key_dim + of_step.value)
    if chunk is None or rule not in _CHUNKED:
        return stepwise
    chunked = _CHUNKED[rule](size, chunk)
    if isinstance(chunk, pl.Expr):
        return pl.when(chunk.is_null()).then(stepwise).otherwise(chunked)
    return chunked


def elements_of_token(rule: str, size: Recurrence) -> Any:
    """Return the elements that one token reads and writes: value and output, query and key, gates and decays."""
    heads, key_heads, key, value = size
    keys = 0 if rule == "rg-lru" else 2 * key_heads * key
    return 2 * heads * value + keys + _GATES[rule](size)


# Elements of the gates and decays of one token.
_GATES: Mapping[str, Callable[[Recurrence], Any]] = {
    "mamba-1": lambda of: of.heads * of.value_dim,  # Δ of each channel
    "mamba-2": lambda of: of.heads,  # Δ of each head
    "gated-delta": lambda of: 2 * of.heads,  # α and β of each head
    "lightning": lambda of: 0,  # the decay of a head is fixed
    "kda": lambda of: of.heads * (of.key_dim + 1),  # α of each channel of a key, β of each head
    "rg-lru": lambda of: 2 * of.heads * of.value_dim,  # r and i
    "rwkv-7": lambda of: 3 * of.heads * of.key_dim,  # w, κ and a
}


def _pass_state(size: Recurrence, chunk: Any) -> Any:
    # Once a chunk the state is decayed, and what the chunk adds is added.
    return size.heads * (2 * size.key_dim * size.value_dim) / chunk


def _mamba_2(size: Recurrence, chunk: Any) -> Any:
    """Dao and Gu 2024 (arXiv 2405.21060), section 6.

    C B^T of each group; for each head times the decay, times X; the state that the chunk adds, and C times the state
    before it; once a channel Δ x and D x.
    """
    heads, groups, key, value = size
    seen = (chunk + 1) / 2
    inside = groups * (2 * key * seen) + heads * (seen * (1 + 2 * value))
    return inside + heads * (4 * key * value + 3 * value) + _pass_state(size, chunk)


def _lightning(size: Recurrence, chunk: Any) -> Any:
    """Qin et al. 2024 (arXiv 2405.17381), Algorithm 1.

    Inside a chunk (q k^T times the decay) v; across chunks q times the state, and the state that k^T v adds, with
    queries and keys decayed.
    """
    heads, _, key, value = size
    seen = (chunk + 1) / 2
    return heads * (seen * (2 * key + 1 + 2 * value) + 2 * key + 4 * key * value) + _pass_state(size, chunk)


def _gated_delta(size: Recurrence, chunk: Any) -> Any:
    """Yang et al. 2024 (arXiv 2412.06464), section 3.3: the WY form.

    K K^T of each head of keys, with decay and β; the triangular solve for W and U, with β K and β V; U - W S; Q K^T
    with decay, times the new values; Q times the state, and the state that the chunk adds.
    """
    heads, key_heads, key, value = size
    seen, before = (chunk + 1) / 2, (chunk - 1) / 2
    scores = key_heads * (2 * key * (seen + before)) + heads * (seen + 2 * before)
    solve = heads * ((2 * before + 1) * (key + value))
    return scores + solve + heads * (seen * (2 * value) + 6 * key * value + value) + _pass_state(size, chunk)


def _kda(size: Recurrence, chunk: Any) -> Any:
    """Kimi Team 2025 (arXiv 2510.26692), section 3: the WY form with a decay of each channel.

    As the gated delta rule, but queries and keys of each head are decayed before their products: four products with
    each of their elements, none with scores but β.
    """
    heads, _, key, value = size
    seen, before = (chunk + 1) / 2, (chunk - 1) / 2
    scores = heads * (4 * key + 2 * key * (seen + before) + before)
    solve = heads * ((2 * before + 1) * (key + value))
    return scores + solve + heads * (seen * (2 * value) + 6 * key * value + value) + _pass_state(size, chunk)


def _rwkv_7(size: Recurrence, chunk: Any) -> Any:
    """Peng et al. 2025 (arXiv 2503.14456): the WY form, where what is removed (κ) and what is added (k) differ.

    Four products of scores: κ and r, each with a κ and with k; the triangular solve; two products with values; the
    state before the chunk times κ and r, and what a κ and k add to it. Five vectors are decayed or scaled first.
    """
    heads, _, key, value = size
    seen, before = (chunk + 1) / 2, (chunk - 1) / 2
    scores = heads * (5 * key + 4 * key * (seen + before))
    solve = heads * (2 * before * (key + 2 * value))
    return scores + solve + heads * (seen * (4 * value) + 8 * key * value) + _pass_state(size, chunk)


_CHUNKED: Mapping[str, Callable[[Recurrence, Any], Any]] = {
    "mamba-2": _mamba_2,
    "lightning": _lightning,
    "gated-delta": _gated_delta,
    "kda": _kda,
    "rwkv-7": _rwkv_7,
}
