"""Op shapes of models at the settings of workloads, and what each device must hold."""

import hashlib
from collections.abc import Sequence

import polars as pl

from flows.intensity.conventions import CONVENTIONS, KV_ELEMENTS_PER_LAYER, SETTING, weights_held


def model_shards(models: pl.DataFrame, degrees: Sequence[int]) -> pl.DataFrame:
    """Return one row per model and number of devices that can share it, with the columns of core.model_shard.

    A device holds its share of every weight that an op of `engine` splits, and the other weights in full; of the KV
    cache, it holds that of its heads, or the whole latent. The column `active` is added: the weights that one token
    passes through.
    """
    settings = (
        models.with_columns(pl.lit(list(degrees), pl.List(pl.Int64)).alias("tensor_parallel"))
        .explode("tensor_parallel")
        .filter(can_share())
        .with_columns(phase=pl.lit("prefill"), batch_size=1, query_length=1, sequence_length=1)
    )
    layers = pl.col("num_layers") - pl.col("num_local_layers")
    return settings.select(
        "model_id",
        "tensor_parallel",
        weights=weights_held(),
        kv_elements_per_token=KV_ELEMENTS_PER_LAYER * layers,
        local_kv_elements_per_token=KV_ELEMENTS_PER_LAYER * pl.col("num_local_layers"),
        active=weights_held(only_active=True),
    )


def add_parameters(models: pl.DataFrame) -> pl.DataFrame:
    """Add `parameters`, the weights of each model, and `active_parameters`, those that a token passes through."""
    whole = model_shards(models, [1]).select("model_id", parameters="weights", active_parameters="active")
    return models.join(whole, on="model_id", how="left", maintain_order="left")


def can_share() -> pl.Expr:
    """Return whether devices can share a model: their number must divide the number of heads."""
    return pl.col("num_heads") % pl.col("tensor_parallel") == 0


def op_shapes(models: pl.DataFrame, workloads: pl.DataFrame) -> pl.DataFrame:
    """Return one row per op, model and setting, with the columns of core.op_shape.

    The column `precisions` is added: the list of precisions that the workloads ask for at the setting. If devices
    cannot share the heads of a model evenly, the model has no rows for their number.

    Parameters
    ----------
    models
        Rows of core.model.
    workloads
        Rows of core.workload, whose lists span the settings.
    """
    settings = (
        expand_settings(workloads, models["model_id"].to_list())
        .join(models, on="model_id", how="inner")
        .filter(can_share())
    )
    shapes = [
        op.shapes(settings.filter(pl.col("convention") == convention))
        for convention, ops in CONVENTIONS.items()
        for op in ops
    ]
    return add_shape_id(pl.concat(shapes, how="vertical_relaxed"))


def expand_settings(workloads: pl.DataFrame, model_ids: list[str]) -> pl.DataFrame:
    """Return one row per setting that a workload asks for, with the precisions asked for at that setting."""
    every_model = pl.lit(model_ids, pl.List(pl.String))
    return (
        workloads.select(
            pl.coalesce("models", every_model).alias("model_id"),
            pl.col("conventions").alias("convention"),
            pl.col("phases").alias("phase"),
            pl.col("batch_sizes").alias("batch_size"),
            pl.col("sequence_lengths").alias("sequence_length"),
            "candidates",
            "tensor_parallel",
            "precisions",
        )
        .explode("model_id")
        .explode("convention")
        .explode("phase")
        .explode("batch_size")
        .explode("sequence_length")
        .explode("tensor_parallel")
        .with_columns(
            query_length=pl.when(pl.col("phase") == "prefill")
            .then(pl.concat_list("sequence_length"))
            .when(pl.col("phase") == "decode")
            .then(pl.lit([1], pl.List(pl.Int64)))
            .otherwise("candidates")
        )
        .explode("query_length")
        .group_by(SETTING, maintain_order=True)
        .agg(pl.col("precisions").explode().unique(maintain_order=True))
    )


def add_shape_id(shapes: pl.DataFrame) -> pl.DataFrame:
    """Add `shape_id` as the first column: a hash of setting and op that does not depend on library versions."""
    named = ["model_id", "convention", "phase", "op"]
    names = shapes.select(named).unique(maintain_order=True)
    texts = ("\n".join(part or "" for part in row) for row in names.iter_rows())
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts]
    seeded = shapes.join(
        names.with_columns(shape_id=pl.Series(seeds, dtype=pl.UInt64)),
        on=named,
        how="left",
        maintain_order="left",
        nulls_equal=True,
    )
    identity = pl.col("shape_id")
    for number in ("batch_size", "sequence_length", "query_length", "tensor_parallel"):
        identity = _mix_hash(identity, pl.col(number).fill_null(0).cast(pl.UInt64))
    ordered = ["shape_id", *(name for name in shapes.columns)]
    return seeded.with_columns(shape_id=(identity // 2).cast(pl.Int64)).select(ordered)


def _mix_hash(state: pl.Expr, number: pl.Expr) -> pl.Expr:
    # One round of a multiply and xor-shift hash, modulo 2^64 (the multiplier is 2^64 / golden ratio).
    product = (state ^ number) * pl.lit(0x9E3779B97F4A7C15, pl.UInt64)
    return product ^ (product // 2**32)
