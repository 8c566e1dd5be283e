"""FLOP and bytes of an op: the cost model.

The formulas take numbers and polars expressions alike. Factors that are mostly numbers are grouped, so that they are
computed once for all rows of a grid. FLOP = 2 per multiply-add; element sizes are in bytes.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import polars as pl

from flows.intensity.precisions import BITS, NO_PARTS, add_bits
from flows.intensity.recurrences import RULES, Recurrence, elements_of_token, flops_of_token

# A number or a polars expression.
Quantity: TypeAlias = Any


class Cost(NamedTuple):
    """Work of one execution, and the bytes that it moves."""

    flops: Quantity
    weight_bytes: Quantity = 0.0
    activation_bytes: Quantity = 0.0
    kv_bytes: Quantity = 0.0
    state_bytes: Quantity = 0.0

    @property
    def bytes(self) -> Quantity:
        """All bytes that must move."""
        return self.weight_bytes + self.kv_bytes + self.activation_bytes + self.state_bytes

    @property
    def intensity(self) -> Quantity:
        """Operational intensity, FLOP/byte."""
        return self.flops / self.bytes

    def quantities(self) -> dict[str, Quantity]:
        """Return the columns of core.op_cost besides its key."""
        return {**self._asdict(), "bytes": self.bytes, "intensity_flops_per_byte": self.intensity}

    def columns(self) -> list[pl.Expr]:
        """Return the columns of core.op_cost besides its key, as expressions."""
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
    vector: Quantity = None,
    row_scale: Quantity = 0,
    output: Quantity = None,
) -> Cost:
    """Product of m x k activations and k x n weights, everything moved once.

    The m rows may be spread over several matrices (MoE, or one per head), each of which is read; `bias` is 1
    if one is added, else 0. Elements of a bias have the size `vector`, by default that of weights, those of the result
    the size `output`, by default that of activations, and each output row may have a scale. With 2-byte elements and
    one matrix the intensity is 1/(1/k + 1/n + 1/m), as in Cai et al. 2024 (arXiv 2401.10774).
    """
    return Cost(
        flops=m * (n * (2 * k + bias)),
        weight_bytes=matrices * (n * (weight * k + row_scale + bias * (weight if vector is None else vector))),
        activation_bytes=m * (activation * (k + n) if output is None else activation * k + output * n),
    )


def convolution(
    products: Quantity,
    *,
    inputs: Quantity,
    weights: Quantity,
    outputs: Quantity,
    activation: Quantity,
    weight: Quantity,
    output: Quantity,
    passes: Quantity = 1,
) -> Cost:
    """Convolution of images, or its backward pass, every tensor moved once.

    `products` are its multiply-adds: of each element of the output, the input channels of its group times the size of
    the kernel; of a transposed one, of each element of the input. The gradient of the input and that of the weights
    are as many each, `passes` in all (Chetlur et al. 2014, arXiv 1410.0759). `inputs`, `weights` and `outputs` are the
    elements that are read or written of each.
    """
    return Cost(
        flops=2 * passes * products,
        weight_bytes=weight * weights,
        activation_bytes=activation * inputs + output * outputs,
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
    There are b sequences with q query tokens each against a context of s, and heads of size d, groups of which
    share keys and values. With as many KV heads as query heads and 2-byte elements the intensity is
    1/(1/d + 1/q + 1/s), as in Cai et al. 2024 (arXiv 2401.10774).
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

    Each of the q query tokens per sequence is multiplied with `attended` tokens on average: (s + 1)/2 in a causal
    prompt of s, the whole context in decode. The keys and values of `cached` tokens are read once, kv_d
    elements per token and KV head: d + value_d, or the one latent of both (DeepSeek-AI 2024, arXiv 2405.04434).
    """
    return Cost(
        flops=(2 * heads * (d + value_d)) * (b * q * attended),
        activation_bytes=(activation * heads * (d + value_d)) * (b * q),
        kv_bytes=(kv * kv_heads * kv_d) * (b * cached),
    )


def attention_backward(
    b: Quantity,
    q: Quantity,
    heads: Quantity,
    kv_heads: Quantity,
    d: Quantity,
    *,
    value_d: Quantity,
    attended: Quantity,
    cached: Quantity,
    activation: Quantity,
    kv: Quantity,
) -> Cost:
    """Gradients of fused attention, whose scores are computed again: five products, two of which `attention` has.

    With d = value_d that is 2.5 times its FLOP (Dao 2023, arXiv 2307.08691, section 4.1). Queries, keys, values, the
    output and its gradient are read, three gradients are written.
    """
    return Cost(
        flops=(2 * heads * (3 * d + 2 * value_d)) * (b * q * attended),
        activation_bytes=(2 * activation * heads * (d + value_d)) * (b * q),
        kv_bytes=(2 * kv * kv_heads * (d + value_d)) * (b * cached),
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
    """Op that does the same to each element of its output; the counts per element are in core.elementwise.

    Work and reads are those of `operands` inputs of the output's size.
    """
    return Cost(
        flops=flops * operands * elements,
        weight_bytes=weight * weight_reads * elements,
        activation_bytes=activation * (reads * operands + writes) * elements,
    )


def index_scores(
    b: Quantity,
    q: Quantity,
    heads: Quantity,
    d: Quantity,
    *,
    attended: Quantity,
    cached: Quantity,
    activation: Quantity,
    kv: Quantity,
) -> Cost:
    """Scores of the indexer of sparse attention: the weighted sum over its heads of relu(q k).

    DeepSeek-AI 2025, DeepSeek-V3.2, equation 1: 2 d FLOP of the product, and 3 of maximum, product and sum, for each
    head and score. The keys of `cached` tokens are read once, and each score is written once.
    """
    return Cost(
        flops=(heads * (2 * d + 3)) * (b * q * attended),
        activation_bytes=activation * (b * q * (heads * d + attended)),
        kv_bytes=(kv * d) * (b * cached),
    )


def causal_convolution(
    m: Quantity,
    kernel: Quantity,
    channels: Quantity,
    *,
    b: Quantity,
    moved: Quantity,
    weight: Quantity,
    activation: Quantity,
    bias: Quantity = 0,
) -> Cost:
    """Causal convolution of each channel by itself over the last `kernel` tokens (Gu and Dao 2023, arXiv 2312.00752).

    `moved` elements of a sequence's last tokens are read or written.
    """
    return Cost(
        flops=m * (channels * (2 * kernel + bias)),
        weight_bytes=weight * channels * (kernel + bias),
        activation_bytes=2 * activation * channels * m,
        state_bytes=activation * moved * b,
    )


def recurrence(
    rule: str,
    m: Quantity,
    b: Quantity,
    size: Recurrence,
    *,
    chunk: Quantity,
    moved: Quantity,
    activation: Quantity,
) -> Cost:
    """Recurrence of linear attention or of a state space, token by token or, in a prompt, chunk by chunk.

    The queries, keys, values and gates of each token are read, and its output is written; `moved` bytes of a
    sequence's state are read or written.
    """
    return Cost(
        flops=m * flops_of_token(rule, size, chunk),
        activation_bytes=m * (activation * elements_of_token(rule, size)),
        state_bytes=moved * b,
    )


def all_reduce(elements: Quantity, devices: Quantity, *, activation: Quantity) -> Cost:
    """Sum over devices, returned to all of them: what one device adds, and sends to others.

    Both are (t - 1)/t of the elements in each half of the ring algorithm, which moves as little as possible
    (Patarasuk and Yuan 2009, doi 10.1016/j.jpdc.2008.09.002).
    """
    share = (devices - 1) / devices
    return Cost(flops=share * elements, activation_bytes=2 * share * activation * elements)


def send(elements: Quantity, copies: Quantity, *, activation: Quantity) -> Cost:
    """Send elements to other devices, each to `copies` of them.

    In an all-gather of t devices that hold a part each, a ring sends (t - 1)/t of the whole. In the all-to-all of
    experts that are spread over p devices, a token that chooses k of them goes to (p - 1)(1 - (1 - 1/p)^k) others,
    if it chooses uniformly: once to each device, however many of its experts that has.
    """
    return Cost(flops=0.0 * elements, activation_bytes=(activation * copies) * elements)


def op_costs(
    shapes: pl.DataFrame,
    precisions: pl.DataFrame,
    elementwise_costs: pl.DataFrame,
    precision_parts: pl.DataFrame = NO_PARTS,
) -> pl.DataFrame:
    """Return one row per op shape and precision, with the columns of core.op_cost.

    Parameters
    ----------
    shapes
        Result of `op_shapes`.
    precisions
        Rows of core.precision.
    elementwise_costs
        Rows of core.elementwise.
    precision_parts
        Rows of core.precision_part.
    """
    asked = shapes.explode("precisions").rename({"precisions": "precision_id"})
    rows = (
        add_bits(asked, precisions, precision_parts)
        .join(elementwise_costs.drop("origin", "note", "source_id"), on="kind", how="left", maintain_order="left")
        .with_columns(pl.col(QUANTITIES).cast(pl.Float64))
    )
    of = {name: pl.col(name) for name in (*QUANTITIES, *BITS, *COUNTS)}
    costs = [
        rows.filter(of_kind).select("shape_id", "precision_id", *cost(kind, of).columns(), "compute_dtype")
        for kind, of_kind in _FORMULAS.items()
    ]
    return pl.concat(costs, how="vertical_relaxed")


# Inputs of the formulas: from op shapes, from precisions, from core.elementwise.
QUANTITIES = [
    "sequences", "tensor_parallel", "m", "k", "n", "heads", "kv_heads", "head_dim", "value_dim",
    "kv_dim", "attended_tokens", "cached_tokens", "matrices", "has_bias", "state_elements", "state_bits", "chunk_size",
]  # fmt: skip
COUNTS = ["flops_per_element", "reads_per_element", "writes_per_element", "weight_reads_per_element"]

# one kind per formula -> the ops that use it
_FORMULAS: dict[str, pl.Expr] = {
    "linear": pl.col("kind") == "linear",
    "qk": pl.col("kind").is_in(["qk", "pv"]),
    "attention": pl.col("kind") == "attention",
    "all_reduce": pl.col("kind") == "all_reduce",
    "all_gather": pl.col("kind") == "all_gather",
    "send": pl.col("kind").is_in(["send", "all_to_all"]),
    "index_scores": pl.col("kind") == "index_scores",
    "convolution": (pl.col("kind") == "convolution") & pl.col("op").str.starts_with("conv1d"),
    **{rule: pl.col("kind") == rule for rule in RULES},
    "elementwise": pl.col("flops_per_element").is_not_null(),
}


# Each kind of op that has a formula of its own; the last one stands for all element-wise ops.
KINDS = (
    "linear", "qk", "pv", "attention", "all_reduce", "all_gather", "send", "all_to_all", "index_scores", "convolution",
    *RULES, "elementwise",
)  # fmt: skip


def cost(kind: str, of: Mapping[str, Quantity]) -> Cost:
    """Return the cost of an op of one kind.

    Parameters
    ----------
    kind
        As in core.op_shape; a kind without its own formula is element-wise.
    of
        Each of QUANTITIES, BITS and, for an element-wise op, COUNTS.
    """
    b, t, m, k, n, heads, kv_heads, d, value_d, kv_d, attended, cached, matrices, bias, moved, bits, chunk = (
        of[name] for name in QUANTITIES
    )
    weight, activation, kv, vector, row_scale = (of[name] / 8 for name in BITS)
    match kind:
        case "linear":
            sizes = {"weight": weight, "activation": activation, "vector": vector, "row_scale": row_scale}
            found = linear(m, k, n, **sizes, matrices=matrices, bias=bias)
        case "qk" | "pv":
            found = attention_product(b, m, attended, heads, kv_heads, kv_d, activation=activation, kv=kv)
        case "attention":
            sizes = {"value_d": value_d, "kv_d": kv_d, "attended": attended, "cached": cached}
            found = attention(b, m, heads, kv_heads, d, **sizes, activation=activation, kv=kv)
        case "all_reduce":
            found = all_reduce(m * n, t, activation=activation)
        case "all_gather":
            found = send(m * n, (t - 1) / t, activation=activation)
        case "send" | "all_to_all":
            found = send(m * n, matrices, activation=activation)
        case "index_scores":
            found = index_scores(b, m, heads, d, attended=attended, cached=cached, activation=activation, kv=kv)
        case "convolution":
            found = causal_convolution(m, k, n, b=b, moved=moved, weight=vector, activation=activation, bias=bias)
        case _ if kind in RULES:
            size = Recurrence(heads, kv_heads, d, value_d)
            found = recurrence(kind, m, b, size, chunk=chunk, moved=moved * (bits / 8), activation=activation)
        case _:
            counts = {name.removesuffix("_per_element"): of[name] for name in COUNTS}
            of_weights = weight if kind == "embedding" else vector
            found = elementwise(m * n, **counts, activation=activation, weight=of_weights, operands=matrices)
    return found
