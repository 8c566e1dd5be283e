"""Bits of what an op reads and writes: those of a precision, and of the part of a model that it sets apart."""

import polars as pl

# What the formulas take of a precision. `vector_bits` are those of biases, norms and whatever else is no matrix.
BITS = ["weight_bits", "activation_bits", "kv_bits", "vector_bits", "row_scale_bits"]
PART_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "precision_id": pl.String, "part": pl.String, "weight_bits": pl.Float64, "activation_bits": pl.Float64,
    "compute_dtype": pl.String, "row_scale_bits": pl.Float64,
}  # fmt: skip
NO_PARTS = pl.DataFrame(schema=PART_SCHEMA)

_OF_PART = [name for name in PART_SCHEMA if name not in ("precision_id", "part")]
_OF_PRECISION = [*BITS, "residual_bits", "state_bits", "compute_dtype"]
# Residual stream, norms and what devices exchange: what engines keep in more bits than the inputs of products.
_IS_KEPT = ((pl.col("convention") == "engine") | (pl.col("convention") == "draft")) & (
    (pl.col("part") == "norm") | (pl.col("part") == "exchange") | (pl.col("kind") == "residual_add")
)
_KEPT = pl.when(_IS_KEPT).then(pl.col("default_residual_bits").cast(pl.Float64))

# What an op has of a precision (`default_`) and of the part that it sets apart (`part_`), if that is not null.
CHOSEN = {
    "weight_bits": pl.coalesce("part_weight_bits", "default_weight_bits").cast(pl.Float64),
    "activation_bits": pl.coalesce("part_activation_bits", _KEPT, "default_activation_bits").cast(pl.Float64),
    "kv_bits": pl.col("default_kv_bits").cast(pl.Float64),
    "row_scale_bits": pl.coalesce("part_row_scale_bits", "default_row_scale_bits").cast(pl.Float64),
    "state_bits": pl.coalesce("default_state_bits", "state_bits").cast(pl.Float64),
    "vector_bits": pl.coalesce("default_vector_bits", "part_weight_bits", "default_weight_bits").cast(pl.Float64),
    "compute_dtype": pl.coalesce("part_compute_dtype", "default_compute_dtype"),
}


def runnable_precisions(ceilings: pl.DataFrame, precisions: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of core.runnable_precision: a device has a peak for every dtype that a precision computes in.

    Parameters
    ----------
    ceilings, precisions, parts
        Rows of core.ceiling, core.precision and core.precision_part.
    """
    columns = ["precision_id", "compute_dtype"]
    needed = pl.concat([precisions.select(columns), parts.select(columns).drop_nulls()]).unique()
    peaks = ceilings.filter(kind="compute").select("hardware_id", compute_dtype="name").unique()
    dtypes = needed.group_by("precision_id").agg(dtypes=pl.len())
    reached = needed.join(peaks, on="compute_dtype").group_by("hardware_id", "precision_id").agg(dtypes=pl.len())
    runnable = reached.join(dtypes, on=["precision_id", "dtypes"], how="semi")
    return runnable.select("hardware_id", "precision_id").sort("hardware_id", "precision_id")


def add_bits(rows: pl.DataFrame, precisions: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """Add the columns BITS and `compute_dtype`, and replace `state_bits` where a precision gives its own.

    Parameters
    ----------
    rows
        Ops: `convention`, `kind`, `part`, `state_bits` and `precision_id`; rows of other precisions are left out.
    precisions, parts
        Rows of core.precision and of core.precision_part.
    """
    default = precisions.select("precision_id", pl.col(_OF_PRECISION).name.prefix("default_"))
    apart = parts.select("precision_id", "part", pl.col(_OF_PART).name.prefix("part_"))
    return (
        rows.join(default, on="precision_id", how="inner", maintain_order="left")
        .join(apart, on=["precision_id", "part"], how="left", maintain_order="left")
        .with_columns(**CHOSEN)
        .drop(pl.selectors.starts_with("default_", "part_"))
    )
