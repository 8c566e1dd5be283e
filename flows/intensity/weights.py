"""Bytes of the weights that a device holds: each part of a model in its own bits, with scales."""

from collections.abc import Sequence

import polars as pl

from flows.intensity.conventions import ONE_EMBEDDING, round_in_stage, weights_of_part
from flows.intensity.precisions import add_bits
from flows.intensity.shapes import describe_shards
from flows.intensity.terms import PARTS, SHARING


def weight_memory(
    layers: pl.DataFrame, degrees: Sequence[int] | pl.DataFrame, precisions: pl.DataFrame, parts: pl.DataFrame
) -> pl.DataFrame:
    """Return one row per model, precision and number of devices, with the columns of core.weight_memory.

    A tied embedding and lm_head are held once if they have the same bits.

    Parameters
    ----------
    layers
        Result of `join_layers`.
    degrees
        Numbers of devices, or ways to share, as `share_evenly` takes them.
    precisions, parts
        Rows of core.precision and of core.precision_part.
    """
    held = weights_by_part(layers, degrees).with_columns(
        convention=pl.lit("engine"), kind=pl.lit(""), state_bits=pl.lit(None, pl.Float64)
    )
    rows = add_bits(held.join(precisions.select("precision_id"), how="cross"), precisions, parts)
    bits = (
        pl.col("in_matrices") * pl.col("weight_bits")
        + pl.col("in_vectors") * pl.col("vector_bits")
        + pl.col("rows") * pl.col("row_scale_bits")
    )
    is_tower = pl.col("part").fill_null("") == "tower"
    embedding, lm_head = (pl.col("weight_bits").filter(part=name).first() for name in ("embedding", "lm_head"))
    shared = (
        pl.when((embedding == lm_head) | (pl.col("pipeline_parallel").first() > 1))
        .then(pl.col("tied").first() * pl.min_horizontal(embedding, lm_head))
        .otherwise(0)
    )
    return rows.group_by("model_id", "precision_id", *SHARING, maintain_order=True).agg(
        weight_bytes=(bits.filter(~is_tower).sum() - shared) / 8,
        tower_bytes=bits.filter(is_tower).sum() / 8,
    )


def weights_by_part(layers: pl.DataFrame, degrees: Sequence[int] | pl.DataFrame) -> pl.DataFrame:
    """Return one row per model, number of devices and part: weights `in_matrices`, `in_vectors`, and output `rows`.

    The part of weights that no op has is null. `tied` is the size of a matrix that embedding and lm_head share; it is
    counted in both.
    """
    shards = describe_shards(layers, degrees)
    main = pl.col("is_main")
    no_rows, tied = pl.lit(0, pl.Int64), ONE_EMBEDDING.first().cast(pl.Int64)
    sizes: dict[str | None, dict[str, pl.Expr]] = {
        part: {
            name: (round_in_stage(of_layers.filter(main).sum()) + once.first()).cast(pl.Int64)
            for name, (of_layers, once) in weights_of_part(part).items()
        }
        for part in PARTS
        if part != "tower"
    }
    others = (pl.col("other_parameters") * pl.col("num_layers")).filter(main).sum()
    no_op = round_in_stage(others) + pl.col("model_other_parameters").first()
    sizes[None] = {"in_matrices": no_rows, "in_vectors": no_op, "rows": no_rows}
    sizes["tower"] = {"in_matrices": pl.col("tower_parameters").first(), "in_vectors": no_rows, "rows": no_rows}
    grouped = shards.group_by("model_id", *SHARING, maintain_order=True)
    frames = [grouped.agg(**each, tied=tied, part=pl.lit(part, pl.String)) for part, each in sizes.items()]
    return pl.concat(frames)
