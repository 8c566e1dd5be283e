"""Plans of what to measure: the kernels of the models of a catalog, each once."""

from collections.abc import Sequence

import polars as pl

from flows.ingest.kinds import read_every_kind, refuse_unknown_names
from flows.ingest.source_file import SourceFile
from flows.intensity.costs import op_costs
from flows.intensity.precisions import BITS, add_bits
from flows.intensity.shapes import join_layers, op_shapes
from flows.measure.standalone import KINDS, PLANNED, RESULT_BYTES
from warehouse.errors import InputError
from warehouse.names import choose_names

_KERNEL = [
    "model_id", "op_group", "phase", "kind", "dtype", "m", "k", "n", "batch_size", "sequence_length", "query_length",
    "heads", "kv_heads", "head_dim",
]  # fmt: skip
_SETTING = ["batch_size", "sequence_length", "query_length"]

_SHORT = ("fp8", "fp6", "fp4", "int8", "int4")
_IS_DECODE = pl.col("phase") == "decode"

# What plain PyTorch runs in the place of an op of `engine`: op, kind, and elements that it moves for one of the op's.
# RoPE is two halves: four products with a broadcast row, a difference, a sum, and a concatenation.
_PIECES = {
    "rope": (("rope", "rope_unfused", 9), ("rope_concat", "concat", 2)),
    "silu_mul": (("activation", "silu", 2), ("gate", "multiply", 3)),
    "gelu_mul": (("activation", "gelu", 2), ("gate", "multiply", 3)),
    "residual_add": (("add_norm", "add_rms_norm", 4),),
    "expert_sum": (("expert_gather", "gather", 1),),
    "router": (("expert_choice", "top_k", 1),),
    "attention": (("cache_write", "cache_write", 2),),
    "fp8": (("quantize", "quantize", 1.5),),  # bf16 is read, fp8 written: 3 bytes for 2
}


def plan_kernels(
    sources: Sequence[SourceFile],
    workload_ids: Sequence[str],
    model_ids: Sequence[str] = (),
    precision_ids: Sequence[str] = (),
) -> pl.DataFrame:
    """Return one row per kernel, with the columns that `flows.measure.standalone` reads.

    Ops of one group that run the same kernel are one row, and so are settings that give a GEMM, or rows of activations,
    the same sizes. What plain PyTorch runs in the place of a fused op is planned, too.

    Parameters
    ----------
    sources
        The files of the catalog.
    workload_ids
        Workloads whose ops are measured.
    model_ids
        Models to keep; if empty, those of the workloads.
    precision_ids
        Precisions to keep; if empty, those of the workloads. Only precisions are measured whose operands all have the
        width of the arithmetic.

    Raises
    ------
    InputError
        A workload, model or precision does not exist, or nothing is left to measure.
    """
    scanned = read_every_kind(sources)
    refuse_unknown_names(scanned, sources)
    names = ("workload", "model", "layer_group", "precision", "precision_part", "elementwise")
    frames = {name: scanned[name].collect() for name in names}
    workloads = choose_rows(frames["workload"], "workload", workload_ids)
    models = choose_rows(frames["model"], "model", model_ids)
    precisions = choose_rows(frames["precision"], "precision", precision_ids)
    shapes = op_shapes(join_layers(models, frames["layer_group"]), workloads)
    parts = frames["precision_part"]
    costs = op_costs(shapes, precisions, frames["elementwise"], parts).rename({"compute_dtype": "dtype"})
    asked = shapes.explode("precisions").rename({"precisions": "precision_id"})
    bits = add_bits(asked, precisions, parts).select("shape_id", "precision_id", *BITS)
    is_product = pl.col("kind") == "linear"
    has_one_width = (pl.col("weight_bits") == pl.col("activation_bits")) & (
        is_product | (pl.col("kv_bits") == pl.col("activation_bits"))
    )
    kernels = (
        shapes.drop("precisions")
        .join(costs, on="shape_id", how="inner", maintain_order="left")
        .join(bits, on=["shape_id", "precision_id"], how="inner", maintain_order="left")
        .join(models.select("model_id", "experts_per_token"), on="model_id", how="left", maintain_order="left")
        .filter(has_one_width, (pl.col("level") == "dram") & (pl.col("flops") + pl.col("bytes") > 0))
    )
    planned = _keep_each_once(_add_pieces(_choose_kernels(kernels)))
    if planned.is_empty():
        raise InputError("measure: nothing to measure; expected a workload with GEMMs, attention, softmax or norms")
    return planned


def _choose_kernels(ops: pl.DataFrame) -> pl.DataFrame:
    """Return the ops that can be timed, by the kind of their kernel: as they are, or as kernels of several experts."""
    kind = pl.col("kind")
    # of attention, what fused kernels run without a mask of their own, and one latent for all heads in decode
    is_chunk = (pl.col("phase") == "prefill") & (pl.col("query_length") < pl.col("sequence_length"))
    is_whole = ~is_chunk & (pl.col("phase") != "mixed")
    is_latent = (kind == "attention") & (pl.col("value_dim") < pl.col("head_dim")) & (pl.col("kv_heads") == 1)
    can_be_timed = pl.col("value_dim").is_null() | (pl.col("value_dim") == pl.col("head_dim"))
    named = (
        pl.when((kind == "linear") & pl.col("experts").is_not_null())
        .then(pl.lit("grouped_linear"))
        .when(is_latent)
        .then(pl.lit("latent_attention"))
        .when(kind == "given")
        .then(None)
        .otherwise(kind)
    )
    is_step_of_state = (kind != "gated-delta") | (pl.col("phase") == "decode")
    matrices = pl.col("matrices").round().clip(1)
    is_sum = pl.col("kind") == "expert_sum"
    is_grouped = pl.col("kind") == "grouped_linear"
    return (
        ops.filter(is_whole | (kind == "linear"), is_step_of_state, can_be_timed | is_latent)
        .with_columns(kind=named)
        .filter(is_grouped | is_sum | (pl.col("matrices") == 1))
        .with_columns(k=pl.when(is_sum).then(pl.col("matrices").cast(pl.Int64)).otherwise("k"))
        .with_columns(
            bytes=pl.col("bytes")
            + pl.when(is_grouped).then(_other_matrices(matrices)).otherwise(0)
            + pl.when(kind.is_in(["linear", "grouped_linear"])).then(_wider_results()).otherwise(0)
        )
        .with_columns(matrices=pl.when(is_grouped).then(matrices).otherwise(1))
    )


def _other_matrices(matrices: pl.Expr) -> pl.Expr:
    """Return the bytes of the matrices that are timed beside those that are expected, which may be a fraction."""
    return (matrices - pl.col("matrices")) * pl.col("k") * pl.col("n") * pl.col("weight_bits") / 8


def _wider_results() -> pl.Expr:
    """Return the bytes of what products write that are more than those of their activations' dtype."""
    result = pl.col("dtype").replace_strict(RESULT_BYTES, default=None, return_dtype=pl.Int64)
    return ((result - pl.col("activation_bits") / 8) * pl.col("m") * pl.col("n")).fill_null(0)


def _add_pieces(kernels: pl.DataFrame) -> pl.DataFrame:
    """Add what plain PyTorch runs in the place of fused ops; the FLOP of pieces are one for each element."""
    is_short = pl.col("dtype").is_in(_SHORT)
    by = {
        "router": (pl.col("part") == "router") & ~is_short,
        "attention": (pl.col("kind") == "attention") & _IS_DECODE,
        "fp8": (pl.col("kind") == "linear") & (pl.col("dtype") == "fp8"),
    }
    found = [kernels]
    for of, pieces in _PIECES.items():
        rows = kernels.filter(by.get(of, pl.col("kind") == of))
        if of == "router":
            rows = rows.with_columns(k="experts_per_token", op_group=pl.lit("router"))
        if of == "attention":  # one token of each sequence is written
            written = {"m": pl.col("batch_size") * pl.col("kv_heads"), "n": pl.col("head_dim")}
            rows = rows.with_columns(**written, k=None, op_group=pl.lit("elementwise"))
        if of == "fp8":
            inputs = {"n": pl.col("k"), "dtype": pl.lit("bf16"), "activation_bits": pl.lit(16)}
            rows = rows.with_columns(**inputs, k=None, op_group=pl.lit("elementwise"))
        rows = rows.with_columns(heads=None, kv_heads=None, head_dim=None)
        elements = pl.col("m") * pl.col("n")
        for op, kind, moved in pieces:
            # k rows are written for each that is read
            times = 1 + pl.col("k") if kind == "gather" else 1
            size = moved * times * elements * pl.col("activation_bits") / 8
            found.append(rows.with_columns(op=pl.lit(op), kind=pl.lit(kind), flops=elements * 1.0, bytes=size))
    return pl.concat(found, how="vertical_relaxed")


def _keep_each_once(kernels: pl.DataFrame) -> pl.DataFrame:
    """Return one row per kernel: the setting tells only kernels of attention apart."""
    sees_context = pl.col("kind").is_in(["qk", "pv", "attention", "latent_attention"])
    return (
        kernels.filter(pl.col("kind").is_in(KINDS))
        .with_columns(pl.col("matrices", "flops", "bytes").cast(pl.Int64))
        .sort("flops", *_KERNEL, "op", nulls_last=True)
        .with_columns(pl.when(sees_context).then(pl.col(name)).alias(f"of_{name}") for name in _SETTING)
        .unique(
            [*(f"of_{name}" if name in _SETTING else name for name in _KERNEL), "matrices"],
            keep="first",
            maintain_order=True,
        )
        .select(PLANNED)
    )


def choose_rows(frame: pl.DataFrame, kind: str, ids: Sequence[str]) -> pl.DataFrame:
    """Return the rows of a kind that are named; all if none is. Raise `InputError` for an unknown name."""
    column = pl.col(f"{kind}_id")
    known = sorted(frame.select(column).to_series())
    return frame.filter(column.is_in(choose_names(f"--{kind}", ids, known)))
