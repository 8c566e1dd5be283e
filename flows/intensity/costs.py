"""FLOP and bytes of an op: the cost model.

The formulas hold for numbers and for polars expressions alike; what is mostly a number stands together,
so that it is worked out once for all rows of a grid. FLOP = 2 per multiply-add; element sizes are in
bytes.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import polars as pl

# A number or a polars expression.
Quantity: TypeAlias = Any


class Cost(NamedTuple):
    """Work of one execution and what it moves."""

    flops: Quantity
    weight_bytes: Quantity = 0.0
    activation_bytes: Quantity = 0.0
    kv_bytes: Quantity = 0.0

    @property
    def bytes(self) -> Quantity:
        """All bytes that must move."""
        return self.weight_bytes + self.kv_bytes + self.activation_bytes

    @property
    def intensity(self) -> Quantity:
        """Operational intensity, FLOP/byte."""
        return self.flops / self.bytes

    def quantities(self) -> dict[str, Quantity]:
        """Return what core.op_cost says beside its key."""
        return {**self._asdict(), "bytes": self.bytes, "intensity_flops_per_byte": self.intensity}

    def columns(self) -> list[pl.Expr]:
        """Return the columns of core.op_cost beside its key, where quantities are expressions."""
        quantities = self.quantities().items()
        return [(q if isinstance(q, pl.Expr) else pl.lit(float(q))).alias(name) for name, q in quantities]


def linear(
    m: Quantity,
    k: Quantity,
    n: Quantity,
    *,
    weight: Quantity,
    activation: Quantity,
    matrices: Quantity = 1,
    bias: Quantity = 0,
) -> Cost:
    """Product of m x k activations and k x n weights, everything moved once.

    The m rows may be spread over several matrices (of a mixture of experts, or one a head), of which
    each is read; `bias` is 1 where one is added, else 0. With 2-byte elements and one matrix the
    intensity is 1/(1/k + 1/n + 1/m), as in Cai et al. 2024 (arXiv 2401.10774).
    """
    return Cost(
        flops=m * (n * (2 * k + bias)),
        weight_bytes=matrices * (weight * n * (k + bias)),
        activation_bytes=m * (activation * (k + n)),
    )


def attention_product(
    b: Quantity,
    q: Quantity,
    s: Quantity,
    heads: Quantity,
    kv_heads: Quantity,
    d: Quantity,
    *,
    activation: Quantity,
    kv: Quantity,
) -> Cost:
    """Either product of unfused attention, with the score matrix in memory.

    Queries and keys make the scores; scores and values make the output: the two mirror each other.
    q query tokens a sequence against a context of s, b sequences, heads of size d, keys and values
    shared by groups of heads. With as many of them as query heads and 2-byte elements the intensity
    is 1/(1/d + 1/q + 1/s), as in Cai et al. 2024 (arXiv 2401.10774).
    """
    return Cost(
        flops=(2 * heads * d) * (b * q * s),
        activation_bytes=(activation * heads) * (b * q * (d + s)),
        kv_bytes=(kv * kv_heads * d) * (b * s),
    )


def attention(
    b: Quantity,
    q: Quantity,
    heads: Quantity,
    kv_heads: Quantity,
    d: Quantity,
    *,
    value_d: Quantity,
    kv_d: Quantity,
    attended: Quantity,
    cached: Quantity,
    activation: Quantity,
    kv: Quantity,
) -> Cost:
    """Fused attention: scores stay on the chip (Dao et al. 2022, arXiv 2205.14135).

    Each of q query tokens a sequence is multiplied with `attended` tokens on average: (s + 1)/2 of a
    causal prompt of s, the whole context in decode. The keys and values of `cached` tokens are read
    once, kv_d elements a token and key head: d + value_d, or the one latent of both (DeepSeek-AI
    2024, arXiv 2405.04434).
    """
    return Cost(
        flops=(2 * heads * (d + value_d)) * (b * q * attended),
        activation_bytes=(activation * heads * (d + value_d)) * (b * q),
        kv_bytes=(kv * kv_heads * kv_d) * (b * cached),
    )


def elementwise(
    elements: Quantity,
    *,
    flops: Quantity,
    reads: Quantity,
    writes: Quantity,
    activation: Quantity,
    weight_reads: Quantity = 0,
    weight: Quantity = 0,
    operands: Quantity = 1,
) -> Cost:
    """Op that does the same to each element of its output; counts an element stand in core.elementwise.

    Work and reads are those of `operands` inputs of the output's size.
    """
    return Cost(
        flops=flops * operands * elements,
        weight_bytes=weight * weight_reads * elements,
        activation_bytes=activation * (reads * operands + writes) * elements,
    )


def all_reduce(elements: Quantity, devices: Quantity, *, activation: Quantity) -> Cost:
    """Sum of what several devices hold, for all of them: what one device adds, and sends to others.

    Both are (t - 1)/t of the elements in each half of the ring algorithm, which moves the least that
    can be (Patarasuk and Yuan 2009, doi 10.1016/j.jpdc.2008.09.002).
    """
    share = (devices - 1) / devices
    return Cost(flops=share * elements, activation_bytes=2 * share * activation * elements)


def op_costs(shapes: pl.DataFrame, precisions: pl.DataFrame, elementwise_costs: pl.DataFrame) -> pl.DataFrame:
    """Return a row an op shape and precision, with the columns of core.op_cost.

    Parameters
    ----------
    shapes
        Result of `op_shapes`.
    precisions
        Rows of core.precision.
    elementwise_costs
        Rows of core.elementwise.
    """
    rows = (
        shapes.explode("precisions")
        .rename({"precisions": "precision_id"})
        .join(precisions, on="precision_id", how="inner", maintain_order="left")
        .join(elementwise_costs.drop("origin", "note", "source_id"), on="kind", how="left", maintain_order="left")
        .with_columns(pl.col(QUANTITIES).cast(pl.Float64))
    )
    of = {name: pl.col(name) for name in (*QUANTITIES, *BITS, *COUNTS)}
    costs = [
        rows.filter(of_kind).select("shape_id", "precision_id", *cost(kind, of).columns())
        for kind, of_kind in _FORMULAS.items()
    ]
    return pl.concat(costs, how="vertical_relaxed")


# What the formulas are given: of an op shape, of a precision, of a kind of core.elementwise.
QUANTITIES = [
    "batch_size", "query_length", "tensor_parallel", "m", "k", "n", "heads", "kv_heads", "head_dim", "value_dim",
    "kv_dim", "attended_tokens", "cached_tokens", "matrices", "has_bias",
]  # fmt: skip
BITS = ["weight_bits", "activation_bits", "kv_bits"]
COUNTS = ["flops_per_element", "reads_per_element", "writes_per_element", "weight_reads_per_element"]

# one kind of each formula -> the ops that it holds for
_FORMULAS: dict[str, pl.Expr] = {
    "linear": pl.col("kind") == "linear",
    "qk": pl.col("kind").is_in(["qk", "pv"]),
    "attention": pl.col("kind") == "attention",
    "all_reduce": pl.col("kind") == "all_reduce",
    "elementwise": pl.col("flops_per_element").is_not_null(),
}


def cost(kind: str, of: Mapping[str, Quantity]) -> Cost:
    """Return the cost of an op of some kind.

    Parameters
    ----------
    kind
        As in core.op_shape; a kind that has no formula of its own is an element-wise one.
    of
        Each of QUANTITIES, BITS and, for an element-wise op, COUNTS.
    """
    b, q, t, m, k, n, heads, kv_heads, d, value_d, kv_d, attended, cached, matrices, bias = (
        of[name] for name in QUANTITIES
    )
    weight, activation, kv = (of[name] / 8 for name in BITS)
    match kind:
        case "linear":
            return linear(m, k, n, weight=weight, activation=activation, matrices=matrices, bias=bias)
        case "qk" | "pv":
            return attention_product(b, q, attended, heads, kv_heads, kv_d, activation=activation, kv=kv)
        case "attention":
            sizes = {"value_d": value_d, "kv_d": kv_d, "attended": attended, "cached": cached}
            return attention(b, q, heads, kv_heads, d, **sizes, activation=activation, kv=kv)
        case "all_reduce":
            return all_reduce(m * n, t, activation=activation)
    counts = {name.removesuffix("_per_element"): of[name] for name in COUNTS}
    return elementwise(m * n, **counts, activation=activation, weight=weight, operands=matrices)
