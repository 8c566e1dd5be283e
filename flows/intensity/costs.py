"""FLOP and bytes of an op: the cost model.

The formulas hold for numbers and for polars expressions alike. FLOP = 2 per multiply-add; element
sizes are in bytes.
"""

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
        return self.weight_bytes + self.activation_bytes + self.kv_bytes

    @property
    def intensity(self) -> Quantity:
        """Operational intensity, FLOP/byte."""
        return self.flops / self.bytes


def linear(m: Quantity, k: Quantity, n: Quantity, *, weight: Quantity, activation: Quantity) -> Cost:
    """Product of m x k activations and k x n weights, everything moved once.

    With 2-byte elements its intensity is 1/(1/k + 1/n + 1/m), as in Cai et al. 2024 (arXiv 2401.10774).
    """
    return Cost(
        flops=2 * m * k * n,
        weight_bytes=weight * k * n,
        activation_bytes=activation * (m * k + m * n),
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
        flops=2 * b * heads * q * s * d,
        activation_bytes=activation * b * heads * (q * d + q * s),
        kv_bytes=kv * b * kv_heads * s * d,
    )


def elementwise(
    elements: Quantity, *, flops: Quantity, reads: Quantity, writes: Quantity, activation: Quantity
) -> Cost:
    """Op that does the same to each of its elements; counts an element stand in core.elementwise."""
    return Cost(flops=flops * elements, activation_bytes=activation * (reads + writes) * elements)


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
        .with_columns(pl.col(_DIMENSIONS).cast(pl.Float64))
    )
    costs = [
        rows.filter(of_kind).select(
            "shape_id",
            "precision_id",
            flops=cost.flops,
            weight_bytes=cost.weight_bytes,
            activation_bytes=cost.activation_bytes,
            kv_bytes=cost.kv_bytes,
            bytes=cost.bytes,
            intensity_flops_per_byte=cost.intensity,
        )
        for of_kind, cost in _cost_of_kind()
    ]
    return pl.concat(costs, how="vertical_relaxed")


_DIMENSIONS = ["batch_size", "sequence_length", "query_length", "m", "k", "n", "heads", "kv_heads", "head_dim"]


def _cost_of_kind() -> list[tuple[pl.Expr, Cost]]:
    b, s, q, m, k, n, heads, kv_heads, d = (pl.col(name) for name in _DIMENSIONS)
    weight, activation, kv = (pl.col(f"{operand}_bits") / 8 for operand in ("weight", "activation", "kv"))
    counts = {name: pl.col(f"{name}_per_element") for name in ("flops", "reads", "writes")}
    kind = pl.col("kind")
    return [
        (kind == "linear", linear(m, k, n, weight=weight, activation=activation)),
        (kind.is_in(["qk", "pv"]), attention_product(b, q, s, heads, kv_heads, d, activation=activation, kv=kv)),
        (counts["flops"].is_not_null(), elementwise(m * n, **counts, activation=activation)),
    ]
