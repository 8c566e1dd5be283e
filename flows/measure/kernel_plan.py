"""Plans of what to measure: the kernels of the models of a catalog, each once."""

from collections.abc import Sequence

import polars as pl

from flows.ingest.kinds import read_every_kind, refuse_unknown_names
from flows.ingest.source_file import SourceFile
from flows.intensity.costs import op_costs
from flows.intensity.precisions import BITS, add_bits
from flows.intensity.shapes import join_layers, op_shapes
from flows.measure.standalone import KINDS, PLANNED
from warehouse.errors import InputError
from warehouse.names import choose_names

_KERNEL = [
    "model_id", "op_group", "phase", "kind", "dtype", "m", "k", "n", "batch_size", "sequence_length", "query_length",
    "heads", "kv_heads", "head_dim",
]  # fmt: skip
_SETTING = ["batch_size", "sequence_length", "query_length"]


def plan_kernels(
    sources: Sequence[SourceFile],
    workload_ids: Sequence[str],
    model_ids: Sequence[str] = (),
    precision_ids: Sequence[str] = (),
) -> pl.DataFrame:
    """Return one row per kernel, with the columns that `flows.measure.standalone` reads.

    Ops of one group that run the same kernel are one row, and so are settings that give a GEMM the same m, k and n.

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
    workloads = _choose(frames["workload"], "workload", workload_ids)
    models = _choose(frames["model"], "model", model_ids)
    precisions = _choose(frames["precision"], "precision", precision_ids)
    shapes = op_shapes(join_layers(models, frames["layer_group"]), workloads)
    parts = frames["precision_part"]
    costs = op_costs(shapes, precisions, frames["elementwise"], parts).rename({"compute_dtype": "dtype"})
    asked = shapes.explode("precisions").rename({"precisions": "precision_id"})
    bits = add_bits(asked, precisions, parts).select("shape_id", "precision_id", *BITS)
    is_product = pl.col("kind") == "linear"
    # of attention, what fused kernels run without a mask of their own
    is_chunk = (pl.col("phase") == "prefill") & (pl.col("query_length") < pl.col("sequence_length"))
    is_whole = ~is_chunk & (pl.col("phase") != "mixed")
    has_one_width = (pl.col("weight_bits") == pl.col("activation_bits")) & (
        is_product | (pl.col("kv_bits") == pl.col("activation_bits"))
    )
    kernels = (
        shapes.drop("precisions")
        .join(costs, on="shape_id", how="inner", maintain_order="left")
        .join(bits, on=["shape_id", "precision_id"], how="inner", maintain_order="left")
        .filter(has_one_width, pl.col("kind").is_in(KINDS), pl.col("matrices") == 1, pl.col("flops") > 0)
        .filter(is_product | is_whole)
        .with_columns(pl.col("matrices", "flops", "bytes").cast(pl.Int64))
        .sort("flops", *_KERNEL, "op", nulls_last=True)
        .with_columns(pl.when(is_product).then(None).otherwise(pl.col(name)).alias(f"of_{name}") for name in _SETTING)
        .unique([f"of_{name}" if name in _SETTING else name for name in _KERNEL], keep="first", maintain_order=True)
    )
    if kernels.is_empty():
        raise InputError("measure: nothing to measure; expected a workload with GEMMs, attention, softmax or norms")
    return kernels.select(PLANNED)


def _choose(frame: pl.DataFrame, kind: str, ids: Sequence[str]) -> pl.DataFrame:
    column = pl.col(f"{kind}_id")
    known = sorted(frame.select(column).to_series())
    return frame.filter(column.is_in(choose_names(f"--{kind}", ids, known)))
