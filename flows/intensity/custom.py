"""The user's own ops: shapes and costs from files of ops."""

import polars as pl

from flows.intensity.conventions import SETTING
from flows.intensity.costs import Cost
from flows.intensity.shapes import add_shape_id
from flows.intensity.terms import SHARING

_NAME = ["op_set_id", "op", "level", "devices"]  # what tells ops apart
_ABSENT = {
    "heads": pl.Int64, "kv_heads": pl.Int64, "head_dim": pl.Int64, "value_dim": pl.Int64, "kv_dim": pl.Int64,
    "attended_tokens": pl.Float64, "cached_tokens": pl.Int64, "experts": pl.Int64,
    "state_elements": pl.Float64, "state_bits": pl.Float64, "chunk_size": pl.Int64,
    "sequences": pl.Int64, "row_share": pl.Float64,
}  # fmt: skip
_NO_SETTING = {"phase": pl.String, "batch_size": pl.Int64, "sequence_length": pl.Int64, "query_length": pl.Int64}


def custom_shapes(ops: pl.DataFrame, precision_ids: list[str]) -> pl.DataFrame:
    """Return one row per op, with the columns of core.op_shape and `precisions`.

    A GEMM without a precision gets every precision. A batch of GEMMs is one op whose rows are spread over as many
    matrices. An op whose bytes are given at several levels, or for several numbers of devices, has a row for each.

    Parameters
    ----------
    ops
        The frame `op` of `read_ops`.
    precision_ids
        All precisions.
    """
    every_precision = pl.lit(precision_ids, pl.List(pl.String))
    own = pl.when(pl.col("precision_id").is_not_null()).then(pl.concat_list("precision_id")).otherwise(every_precision)
    shapes = (
        ops.with_columns(own.alias("precisions"))
        .group_by(_NAME, maintain_order=True)
        .agg(
            pl.col("precisions").explode().unique(maintain_order=True),
            pl.col("op_group", *"mkn", "batch", "repeat", "pipe").first(),
        )
        .with_columns(
            *(pl.lit(None, dtype).alias(name) for name, dtype in {**_NO_SETTING, **_ABSENT}.items()),
            model_id="op_set_id",
            convention=pl.lit("custom"),
            tensor_parallel="devices",
            **{name: pl.lit(1, pl.Int64) for name in SHARING[1:]},
            kind=pl.when(pl.col("m").is_null()).then(pl.lit("given")).otherwise(pl.lit("linear")),
            m=pl.col("m") * pl.col("batch"),
            matrices=pl.col("batch").cast(pl.Float64),
            has_bias=pl.lit(value=False),
            part=pl.lit(None, pl.String),
            idle_repeat=pl.lit(0, pl.Int64),
        )
    )
    sizes = [
        "op_group",
        "kind",
        *"mkn",
        *_ABSENT,
        "matrices",
        "has_bias",
        "level",
        "repeat",
        "part",
        "idle_repeat",
        "pipe",
    ]
    # the id depends on a level other than DRAM
    at_level = pl.when(pl.col("level") == "dram").then("op").otherwise(pl.concat_str("op", "level", separator="\n"))
    identified = add_shape_id(shapes.select(*SETTING, "precisions", *sizes, op=at_level))
    return identified.with_columns(shapes["op"])


def custom_costs(ops: pl.DataFrame, shapes: pl.DataFrame, precisions: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of core.op_cost of ops given by FLOP and bytes: one row per op and precision.

    Parameters
    ----------
    ops
        The frame `op` of `read_ops`.
    shapes
        Result of `custom_shapes`.
    precisions
        Rows of core.precision.
    """
    zero = pl.lit(0.0)
    cost = Cost(pl.col("flops"), weight_bytes=zero, activation_bytes=pl.col("bytes"), kv_bytes=zero)
    named = shapes.filter(kind="given").select(
        "shape_id", "op", "level", devices="tensor_parallel", op_set_id="model_id"
    )
    dtypes = precisions.select("precision_id", "compute_dtype")
    return (
        ops.join(named, on=_NAME, how="inner", maintain_order="left")
        .join(dtypes, on="precision_id", how="inner", maintain_order="left")
        .select("shape_id", "precision_id", *cost.columns(), "compute_dtype")
    )
