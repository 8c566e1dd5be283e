"""Costs of large grids, one model at a time: whatever the grid does not change is a number, not a column.

Dimensions and formulas are those of `op_shapes` and `op_costs`; the only columns are settings.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import polars as pl

from flows.intensity.conventions import CONVENTIONS, OF_SETTING, SETTING, Op
from flows.intensity.costs import QUANTITIES, cost
from flows.intensity.precisions import BITS, NO_PARTS, add_bits
from flows.intensity.shapes import list_ops, share_evenly, split_mixed
from flows.intensity.terms import DTYPES, PHASES, SHARING

# The columns of a grid. All else follows from model, convention, phase and number of devices.
GRID = ["batch_size", "sequence_length", "query_length"]

# What the columns change.
_OF_GRID = ["batch_share", "sequence_length", "query_length"]
# What an op sees of a mixed step, and where `fixed_ops` keeps it.
_SEEN = {name: f"seen_{name}" for name in ("phase", "batch_share", "query_length")}

_EVERY_OP = [op for ops in CONVENTIONS.values() for op in ops]
# The dimensions of an op that its expected time depends on, as in core.op_shape.
SHAPE = ["m", "k", "n", "matrices", "kv_heads", "head_dim"]
# Names that repeat in every row, stored as numbers.
_NAMES: dict[str, pl.DataType | type[pl.DataType]] = {
    "phase": pl.Enum(PHASES),
    "op": pl.String,
    "op_group": pl.Enum(list(dict.fromkeys(op.op_group for op in _EVERY_OP))),
    "level": pl.Enum(list(dict.fromkeys(op.level for op in _EVERY_OP))),
}


def fixed_ops(
    layers: pl.DataFrame, conventions: Sequence[str], phases: Sequence[str], degrees: Sequence[int] | pl.DataFrame
) -> pl.DataFrame:
    """Return one row per op, model, phase and number of devices, with the dimensions that a grid does not change.

    The other dimensions are null. `place` is the position of an op in its convention; columns of the layer are kept
    that such dimensions depend on. If devices cannot share the heads of a model evenly, the model has no rows for
    their number.

    Parameters
    ----------
    layers
        Result of `join_layers`.
    conventions, phases, degrees
        Which ops, in which phases, on how many devices, as `share_evenly` takes them.
    """
    shared = share_evenly(layers, degrees).select("model_id", *SHARING).unique(maintain_order=True)
    settings = pl.DataFrame({"phase": list(phases)}).join(shared, how="cross")
    settings = settings.with_columns(micro_batches=1, expert_load=1.0)
    frames = []
    for convention in conventions:
        for place, op, rows in list_ops(layers, convention):
            of_op = _list_settings(op, rows.join(settings, on="model_id", how="inner", maintain_order="left"))
            known = {name: name if name in of_op.columns else pl.lit(None) for name in _LAYER_NAMES}
            fixed = {name: pl.lit(None) if _depends_on_grid(of) else of for name, of in op.dimensions().items()}
            frames.append(
                of_op.select(
                    "model_id",
                    *SHARING,
                    "expert_load",
                    "op",
                    *_SEEN.values(),
                    phase="asked",
                    convention=pl.lit(convention),
                    place=pl.lit(place),
                    **{name: pl.col(of) if isinstance(of, str) else of for name, of in known.items()},
                    **fixed,
                )
            )
    return pl.concat(frames, how="vertical_relaxed").with_columns(pl.col(name).cast(of) for name, of in _NAMES.items())


def _list_settings(op: Op, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of an op at the phases that it runs in, with the setting that it sees of a mixed step."""
    asked = rows.with_columns(
        asked="phase", **{name: pl.lit(None, pl.Int64) for name in ("batch_share", "query_length")}
    )
    each = pl.concat(split_mixed(op, asked), how="vertical_relaxed").filter(op.when)
    return each.with_columns(pl.col(name).alias(seen) for name, seen in _SEEN.items())


def grid_costs(
    ops: pl.DataFrame,
    precision: Mapping[str, Any],
    counts: Mapping[str, Mapping[str, Any]],
    grid: pl.DataFrame,
    precision_parts: pl.DataFrame = NO_PARTS,
    *,
    with_shapes: bool = False,
) -> pl.DataFrame:
    """Return one row per op and setting, op after op: names, setting, and the columns of core.op_cost.

    Parameters
    ----------
    ops
        Rows of `fixed_ops` for one model, convention, phase and number of devices.
    precision
        A row of core.precision.
    counts
        Rows of core.elementwise, by kind.
    grid
        Settings: `batch_size`, `sequence_length`, `query_length`.
    precision_parts
        Rows of core.precision_part.
    with_shapes
        Whether to add `kind` and the columns SHAPE, as core.op_shape has them.
    """
    used = pl.DataFrame([precision])
    ops = add_bits(ops.with_columns(precision_id=pl.lit(precision["precision_id"])), used, precision_parts)
    ops = ops.drop("precision_id").with_columns(pl.col("compute_dtype").cast(pl.Enum(DTYPES)))
    rows = [_see_setting(row) for row in ops.to_dicts()]
    of_grid = [_grid_dimensions(row["convention"], row["place"]) for row in rows]
    replicas = ops["data_parallel"][0]
    share = (pl.col("batch_size") + replicas - 1) // replicas if replicas > 1 else pl.col("batch_size")
    settings = _compute_dimensions(rows, ops.schema, of_grid, grid.with_columns(batch_share=share))
    columns = []
    for row, each in zip(rows, of_grid, strict=True):
        numbers = {name: _as_number(row.get(name)) for name in QUANTITIES}
        named = {name: pl.col(_name_column(of, row)) for name, of in each.items()}
        bits = {name: row[name] for name in BITS}
        of_op = {**numbers, **named}
        quantities = cost(row["kind"], {**of_op, **counts.get(row["kind"], {}), **bits}).quantities()
        columns.append({**quantities, **({name: of_op[name] for name in SHAPE} if with_shapes else {})})
    wide = settings.select(
        quantity.alias(f"{i} {name}")
        for i, quantities in enumerate(columns)
        for name, quantity in quantities.items()
        if isinstance(quantity, pl.Expr)
    )

    def stack_column(name: str) -> pl.Series:
        """Return one quantity of all ops, op after op."""
        given = (
            wide[f"{i} {name}"]
            if isinstance(quantities[name], pl.Expr)
            else pl.Series([_as_number(quantities[name])], dtype=pl.Float64).new_from_index(0, len(grid))
            for i, quantities in enumerate(columns)
        )
        return pl.concat([each.alias(name) for each in given])

    kind = ["kind"] if with_shapes else []
    keys = ops.select(*_NAMES, *SHARING, "repeat", "idle_repeat", "compute_dtype", *kind).join(grid, how="cross")
    return keys.with_columns(stack_column(name) for name in columns[0])


def _see_setting(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `fixed_ops` with what its op sees of a mixed step in place of the setting."""
    return {**row, **{name: row[seen] for name, seen in _SEEN.items() if row[seen] is not None}}


def _compute_dimensions(
    rows: Sequence[Mapping[str, Any]],
    schema: pl.Schema,
    of_grid: Sequence[Mapping[str, pl.Expr]],
    grid: pl.DataFrame,
) -> pl.DataFrame:
    """Return the dimensions that the grid changes as columns; ops share most of them, so each is computed once."""
    found: dict[str, tuple[pl.Expr, Mapping[str, Any]]] = {}
    for row, each in zip(rows, of_grid, strict=True):
        for of in each.values():
            found.setdefault(_name_column(of, row), (of, _known_values(of, row)))
    by_values: dict[str, list[str]] = {}
    for name, (_, values) in found.items():
        by_values.setdefault(repr(values), []).append(name)
    frames = [
        grid.with_columns(
            pl.lit(value, schema.get(root, pl.Int64)).alias(root) for root, value in found[names[0]][1].items()
        ).select(found[name][0].alias(name) for name in names)
        for names in by_values.values()
    ]
    return pl.concat(frames, how="horizontal") if frames else grid.select(pl.lit(0))


def _known_values(of: pl.Expr, row: Mapping[str, Any]) -> dict[str, Any]:
    return {root: row[root] for root in sorted(of.meta.root_names()) if root in row}


def _name_column(of: pl.Expr, row: Mapping[str, Any]) -> str:
    return f"{of} {_known_values(of, row)}"


@cache
def _grid_dimensions(convention: str, place: int) -> dict[str, pl.Expr]:
    """Return the dimensions of an op that a grid changes."""
    dimensions = CONVENTIONS[convention][place].dimensions() | {name: pl.col(name) for name in _OF_GRID}
    return {name: of.cast(pl.Float64) for name, of in dimensions.items() if name in QUANTITIES and _depends_on_grid(of)}


def _depends_on_grid(dimension: pl.Expr) -> bool:
    return not set(_OF_GRID).isdisjoint(dimension.meta.root_names())


# Columns of a layer that dimensions depend on which a grid changes.
_LAYER_NAMES = sorted(
    {
        root
        for op in _EVERY_OP
        for of in op.dimensions().values()
        if _depends_on_grid(of)
        for root in of.meta.root_names()
    }.difference(SETTING, OF_SETTING)
)


def _as_number(dimension: Any) -> float | None:
    return None if dimension is None else float(dimension)
